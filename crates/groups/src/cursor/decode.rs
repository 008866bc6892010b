//! Reading a cursor: bounded, and without a panic whatever the bytes.

use handbell_backend::{Class, Incarnation, Partition, Position};
use handbell_protocol::{Lane, Timestamp};

use super::{
    BadCursor, Cursor, Mark, State, Unsettled,
    encode::{LOST, SUSPICIONS},
};
use crate::MemberId;

pub(super) fn decode(bytes: &[u8], partition: Partition) -> Result<Cursor, BadCursor> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.byte()? {
        Cursor::FORMAT => {}
        other => return Err(BadCursor::Format(other)),
    }
    let released = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(reader.damaged()),
    };
    let number = reader.number()?;
    let holder = reader.member()?;
    let members = reader.many(Reader::member)?;
    let marks = reader.many(|reader| reader.mark(partition, &members))?;
    if reader.at != bytes.len() {
        return Err(reader.damaged());
    }
    Ok(Cursor { holder, released, number, marks })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Read<T> = Result<T, BadCursor>;

impl<'a> Reader<'a> {
    fn damaged(&self) -> BadCursor {
        BadCursor::Damaged(self.at)
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(|| self.damaged())?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| self.damaged())?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Read<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Read<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.damaged())
    }

    fn signed(&mut self) -> Read<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn time(&mut self) -> Read<Timestamp> {
        self.signed().map(Timestamp::from_millis)
    }

    fn after(&mut self, time: Timestamp) -> Read<Timestamp> {
        Ok(Timestamp::from_millis(time.as_millis().wrapping_add(self.signed()?)))
    }

    fn text(&mut self) -> Read<&'a str> {
        let length = usize::try_from(self.number()?).map_err(|_| self.damaged())?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged())
    }

    fn member(&mut self) -> Read<MemberId> {
        self.text().map(MemberId::from)
    }

    /// Each has a byte at least, so a false count asks for no memory.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = self.number()?;
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(self.damaged());
        }
        (0..count).map(|_| one(self)).collect()
    }

    fn mark(&mut self, partition: Partition, members: &[MemberId]) -> Read<Mark> {
        let bits = self.byte()?;
        if bits > 3 {
            return Err(self.damaged());
        }
        let position = Position {
            log: self.text()?.into(),
            incarnation: Incarnation(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| self.damaged())?)),
            class: if bits & 1 == 0 { Class::Ev } else { Class::Retry },
            lane: if bits & 2 == 0 { Lane::Regular } else { Lane::Express },
            partition,
            offset: self.number()?,
            time: self.time()?,
        };
        let unsettled = self.many(|reader| reader.unsettled(&position, members))?;
        Ok(Mark { position, unsettled })
    }

    fn unsettled(&mut self, mark: &Position, members: &[MemberId]) -> Read<Unsettled> {
        let offset = mark.offset.wrapping_sub(self.number()?);
        let time = Timestamp::from_millis(mark.time.as_millis().wrapping_sub(self.signed()?));
        let failures = u32::try_from(self.number()?).map_err(|_| self.damaged())?;
        let bits = self.byte()?;
        let suspicion = *SUSPICIONS.get(usize::from(bits >> 3 & 7)).ok_or_else(|| self.damaged())?;
        let state = self.state(bits, time, members)?;
        Ok(Unsettled { offset, time, failures, suspicion, state })
    }

    fn state(&mut self, bits: u8, time: Timestamp, members: &[MemberId]) -> Read<State> {
        let lost = bits & LOST != 0;
        Ok(match (bits & 7, lost, bits & 0x80) {
            (0, false, 0) => State::Open { due: None },
            (1, false, 0) => State::Open { due: Some(self.after(time)?) },
            (2, false, 0) => State::Out(self.number().map(|index| member_at(members, index))?.ok_or(self.damaged())?),
            (3, lost, 0) => State::Moving { due: self.after(time)?, lost },
            (4, false, 0) => State::Dying { class: self.text()?.into(), reason: self.text()?.into() },
            _ => return Err(self.damaged()),
        })
    }
}

fn member_at(members: &[MemberId], index: u64) -> Option<MemberId> {
    members.get(usize::try_from(index).ok()?).cloned()
}
