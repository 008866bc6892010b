//! What a group's member wants done.

use std::sync::Arc;

use bytes::Bytes;
use handbell_backend::{CellVersion, Outgoing, Partition, Position, Record, Trimmed};
use handbell_protocol::Lane;

use crate::{BadCursor, ConsumerId, MemberId, Token, Word};

/// Names something asked of the runner; its answer carries it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(pub u64);

/// From which channels records come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The group's retry channel: class Retry, topic = the group's name.
    Retry,
    /// The group's topics: class Ev.
    Topic,
}

/// Names one reading of one partition, source and lane, from its `Open` to
/// its `Close`; the number is never used again. A runner may serve several
/// readings with one tail, as long as it tells apart what a tail read before
/// a reading was closed and opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reading {
    /// The partition.
    pub partition: Partition,
    /// The channels.
    pub source: Source,
    /// The lane.
    pub lane: Lane,
    /// Which reading of them.
    pub number: u64,
}

/// Where a reading begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Where the group was told to begin when it was made (topics), or with
    /// the oldest record (retry channel): nothing was handed out yet.
    Start,
    /// Behind these positions, one for each log that counts; where there are
    /// several and a tail takes only one, behind the earliest: what comes
    /// again is recognised. Offset 0 is before a log's first record. A log
    /// that isn't named is read from where `Start` says.
    After(Vec<Position>),
}

/// What the runner shall do, in this order.
#[derive(Debug)]
pub enum Output {
    /// Load the cursor's cell of a partition, then the ends of its logs.
    Load {
        /// Answered by [`crate::Input::Loaded`].
        request: Request,
        /// The partition.
        partition: Partition,
    },
    /// Store the cursor's cell. At most one at a time is under way per partition.
    Store {
        /// Answered by [`crate::Input::Stored`].
        request: Request,
        /// The partition.
        partition: Partition,
        /// The cursor, encoded.
        value: Bytes,
        /// The version that it replaces.
        expected: Option<CellVersion>,
    },
    /// Fetch records of a partition by position.
    Fetch {
        /// Answered by [`crate::Input::Fetched`].
        request: Request,
        /// The positions.
        positions: Vec<Position>,
    },
    /// Store a record in the retry channel or the dead letter queue, as it is.
    Publish {
        /// Answered by [`crate::Input::Published`].
        request: Request,
        /// The record.
        outgoing: Box<Outgoing>,
    },
    /// Begin to read; ask [`crate::Group::read_budget`] for how much.
    Open {
        /// Names the reading.
        reading: Reading,
        /// Where it begins.
        begin: Begin,
    },
    /// Stop a reading. What it still hands in has no effect.
    Close {
        /// The reading.
        reading: Reading,
    },

    /// Hand a record to a consumer. A record from the retry channel looks as
    /// it lay on its topic: with that position, topic and headers.
    Deliver {
        /// The consumer.
        consumer: ConsumerId,
        /// What settles it.
        token: Token,
        /// The record.
        record: Arc<Record>,
        /// Which delivery of it this is, from 1.
        attempt: u32,
    },
    /// A verdict is durable.
    Settled {
        /// Whose.
        consumer: ConsumerId,
        /// Of which delivery.
        token: Token,
    },
    /// A verdict had no effect.
    Gone {
        /// Whose.
        consumer: ConsumerId,
        /// Of which delivery.
        token: Token,
    },
    /// A delivery's lease has ended without a verdict; a later one is `Gone`.
    Revoked {
        /// Whose.
        consumer: ConsumerId,
        /// Which.
        token: Token,
    },
    /// Tell every consumer that retention removed what had not been read.
    Gap(Trimmed),

    /// Say something to another member; may get lost.
    Tell {
        /// To whom.
        to: MemberId,
        /// What.
        word: Word,
    },
    /// Tell an operator.
    Alarm(Alarm),
    /// From now on this member holds the partition.
    Held {
        /// The partition.
        partition: Partition,
    },
    /// From now on it doesn't.
    Released {
        /// The partition.
        partition: Partition,
    },
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A log ends below what was read of it, or was made anew. It is read on
    /// from what survived; nothing new is skipped.
    LogReset {
        /// How far it had been handed out.
        was: Position,
        /// Behind what it is read on; offset 0 means from its beginning.
        now: Position,
    },
    /// The cursor can't be read by this build: the partition is given up.
    Unreadable {
        /// The partition.
        partition: Partition,
        /// Why.
        why: BadCursor,
    },
    /// The broker refuses a record for good: a retry waits in memory instead,
    /// a dead letter is tried again.
    Refused {
        /// Of what.
        position: Position,
        /// Why.
        why: String,
    },
    /// Unsettled records aren't there any more: retention or a reset log took them.
    Lost {
        /// Where they lay.
        positions: Vec<Position>,
    },
}
