//! The cursor: what is stored of a partition, so that the next holder knows
//! what may be out.

use bytes::Bytes;
use handbell_backend::{Partition, Position};
use handbell_protocol::Timestamp;

use crate::MemberId;

mod decode;
mod encode;

/// The state of one partition of a group, as one cell holds it.
///
/// A record of a log with a mark is done if it lies at or below the mark and
/// isn't among the unsettled. What lies above a mark was never handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Who stored it.
    pub holder: MemberId,
    /// The holder gave the partition up: it may be claimed at once, and an
    /// `Open` record is surely with nobody.
    pub released: bool,
    /// The holder's number of this store, so that it recognises its own.
    pub number: u64,
    /// One for each log that has been read.
    pub marks: Vec<Mark>,
}

/// How far one log (source, lane, name, life) has been handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The highest position that may have been handed out. Its class tells
    /// the source. A time of 0 is unknown.
    pub position: Position,
    /// What isn't done at or below it, in any order.
    pub unsettled: Vec<Unsettled>,
}

/// A record that isn't done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Its offset in the mark's log.
    pub offset: u64,
    /// When it was stored: with the offset it tells the record for sure.
    pub time: Timestamp,
    /// How many deliveries of it have failed.
    pub failures: u32,
    /// Whether it may have killed whoever had it.
    pub suspicion: Suspicion,
    /// Where it stands.
    pub state: State,
}

/// Whether a record may have killed whoever had it, so that it is handed out
/// alone and takes no neighbours with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suspicion {
    /// No.
    #[default]
    None,
    /// Its consumer was lost, which is counted: handed out alone per consumer.
    Consumer,
    /// Its holder was lost while it may have been out, which isn't counted
    /// yet: counted when it is its turn to be handed out, alone per member.
    Holder,
    /// The holder's loss is counted; now it is handed out alone per member.
    Alone,
    /// Its holder was lost while it was out alone, which isn't counted yet.
    Blamed,
}

/// Where an unsettled record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// With a consumer of the cursor's holder, or with nobody.
    Open {
        /// It isn't handed out before that.
        due: Option<Timestamp>,
    },
    /// With a consumer of a member that held the partition before.
    Out(MemberId),
    /// It failed and goes to the retry channel.
    Moving {
        /// When it comes again.
        due: Timestamp,
        /// Whether its consumer was lost.
        lost: bool,
    },
    /// It failed for good and goes to the dead letter queue.
    Dying {
        /// The failure's class, at most 64 bytes.
        class: String,
        /// Why, at most 200 bytes.
        reason: String,
    },
}

/// Bytes that are no cursor of this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCursor {
    /// Another build's format.
    #[error("the cursor has format {0}, this build reads up to {max}: start a newer build", max = Cursor::FORMAT)]
    Format(u8),
    /// No cursor at all, or a damaged one.
    #[error("the cursor is damaged at byte {0}")]
    Damaged(usize),
}

impl Cursor {
    /// The format that this build writes: the first byte.
    pub const FORMAT: u8 = 1;

    /// The cursor as bytes: at most 400 KiB with [`crate::UNSETTLED_MAX`] unsettled.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode::encode(self)
    }

    /// Reads the bytes of the cursor of `partition`; never panics.
    ///
    /// # Errors
    /// [`BadCursor`] for everything that [`Cursor::encode`] doesn't write.
    pub fn decode(bytes: &[u8], partition: Partition) -> Result<Self, BadCursor> {
        decode::decode(bytes, partition)
    }

    /// How many records are unsettled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.marks.iter().map(|mark| mark.unsettled.len()).sum()
    }

    /// Whether whoever holds the partition next hands something out again at
    /// once: what was given back, and what was out when a holder was lost.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.marks.iter().flat_map(|mark| &mark.unsettled).any(|one| one.state == State::Open { due: None })
    }

    /// When the oldest unsettled record was stored.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.marks.iter().flat_map(|mark| &mark.unsettled).map(|one| one.time).min()
    }

    /// Whether everything up to `end`, a position of class Ev, may have been
    /// handed out.
    #[must_use]
    pub fn passed(&self, end: &Position) -> bool {
        self.marks.iter().any(|mark| mark.position.comparable(end) && mark.position.offset >= end.offset)
    }
}

#[cfg(test)]
mod tests;
