//! Writing a cursor.
//!
//! Format 1: a format byte, a byte of flags, then numbers as LEB128 (signed
//! ones zigzag), texts led by their length, the lives of logs as 8 bytes.
//! Offsets and times of unsettled records count back from their mark.

use bytes::Bytes;
use handbell_backend::Class;
use handbell_protocol::Lane;

use super::{Cursor, Mark, State, Suspicion, Unsettled};
use crate::MemberId;

pub(super) fn encode(cursor: &Cursor) -> Bytes {
    let mut writer = Writer { bytes: Vec::with_capacity(64 + cursor.unsettled() * 10), members: Vec::new() };
    writer.byte(Cursor::FORMAT);
    writer.byte(u8::from(cursor.released));
    writer.number(cursor.number);
    writer.text(cursor.holder.as_str());
    writer.members(cursor);
    writer.number(cursor.marks.len() as u64);
    cursor.marks.iter().for_each(|mark| writer.mark(mark));
    writer.bytes.into()
}

/// How a suspicion is written; reading compares with the same list.
pub(super) const SUSPICIONS: [Suspicion; 5] =
    [Suspicion::None, Suspicion::Consumer, Suspicion::Holder, Suspicion::Alone, Suspicion::Blamed];

pub(super) const LOST: u8 = 0x40;

struct Writer {
    bytes: Vec<u8>,
    members: Vec<MemberId>,
}

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// The members that have deliveries out, each named once.
    fn members(&mut self, cursor: &Cursor) {
        for one in cursor.marks.iter().flat_map(|mark| &mark.unsettled) {
            if let State::Out(member) = &one.state
                && !self.members.contains(member)
            {
                self.members.push(member.clone());
            }
        }
        self.number(self.members.len() as u64);
        for member in self.members.clone() {
            self.text(member.as_str());
        }
    }

    fn mark(&mut self, mark: &Mark) {
        let position = &mark.position;
        self.byte(u8::from(position.class == Class::Retry) | u8::from(position.lane == Lane::Express) << 1);
        self.text(&position.log);
        self.bytes.extend_from_slice(&position.incarnation.0.to_le_bytes());
        self.number(position.offset);
        self.signed(position.time.as_millis());
        self.number(mark.unsettled.len() as u64);
        mark.unsettled.iter().for_each(|one| self.unsettled(one, mark));
    }

    fn unsettled(&mut self, one: &Unsettled, mark: &Mark) {
        self.number(mark.position.offset.wrapping_sub(one.offset));
        self.signed(mark.position.time.as_millis().wrapping_sub(one.time.as_millis()));
        self.number(u64::from(one.failures));
        let suspicion = SUSPICIONS.iter().position(|s| *s == one.suspicion).unwrap_or_default() as u8;
        match &one.state {
            State::Open { due: None } => self.byte(suspicion << 3),
            State::Open { due: Some(due) } => {
                self.byte(suspicion << 3 | 1);
                self.signed(due.as_millis().wrapping_sub(one.time.as_millis()));
            }
            State::Out(member) => {
                self.byte(suspicion << 3 | 2);
                self.number(self.members.iter().position(|m| m == member).unwrap_or_default() as u64);
            }
            State::Moving { due, lost } => {
                self.byte(suspicion << 3 | 3 | if *lost { LOST } else { 0 });
                self.signed(due.as_millis().wrapping_sub(one.time.as_millis()));
            }
            State::Dying { class, reason } => {
                self.byte(suspicion << 3 | 4);
                self.text(class);
                self.text(reason);
            }
        }
    }
}
