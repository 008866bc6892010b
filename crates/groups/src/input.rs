//! What happens to a group's member: everything that its runner tells it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use handbell_backend::{CellVersion, Partition, Position, PublishError, Record, Stored, Trimmed};

use crate::{ConsumerId, Leave, MemberId, Reading, Request, Token, Verdict, Word};

/// Something happened. Answers to outputs name their [`Request`] or
/// [`Reading`]; one that is no longer of interest has no effect, so a runner
/// never needs to know.
#[derive(Debug)]
pub enum Input {
    /// Who is there and who should hold what now: at the start and at each
    /// change; the same again has no effect. A member that isn't among
    /// `members` is gone: its lease is over, or it left.
    View {
        /// All members of the namespace that are there, this one included.
        members: BTreeSet<MemberId>,
        /// To whom each partition of this group belongs; none where nobody has
        /// a consumer of it.
        owners: BTreeMap<Partition, MemberId>,
    },

    /// Answers [`crate::Output::Load`]. The runner tries until it can answer.
    Loaded {
        /// Which load.
        request: Request,
        /// What the cell held.
        cursor: Option<(Bytes, CellVersion)>,
        /// The ends of this partition in the logs of class Ev and Retry, both
        /// lanes, read **after** the cell was loaded. A log that was made anew
        /// or that went back is recognised by them; so an end must not fall
        /// when retention empties a log.
        ends: Vec<Position>,
    },
    /// Answers [`crate::Output::Store`].
    Stored {
        /// Which store.
        request: Request,
        /// How it ended.
        result: StoreResult,
    },
    /// Answers [`crate::Output::Fetch`]. The runner tries until it can answer.
    Fetched {
        /// Which fetch.
        request: Request,
        /// The records, in the order of the positions asked for.
        records: Vec<Option<Arc<Record>>>,
    },
    /// Answers [`crate::Output::Publish`]. Retryable failures are tried again
    /// by the group, with the same dedup key.
    Published {
        /// Which publish.
        request: Request,
        /// The broker's answer.
        result: Result<Stored, PublishError>,
    },

    /// A reading has records, in order.
    Read {
        /// Which reading.
        reading: Reading,
        /// Already restricted to the group's topics.
        records: Vec<Arc<Record>>,
    },
    /// A reading has handed in everything that was stored when it was opened.
    Level {
        /// Which reading.
        reading: Reading,
    },
    /// Retention removed what a reading had not read.
    Trimmed {
        /// Which reading.
        reading: Reading,
        /// What is missing.
        trimmed: Trimmed,
    },

    /// A consumer is here, connected.
    Joined {
        /// The consumer.
        consumer: ConsumerId,
        /// How many deliveries it may have unsettled; at most 1,024 count.
        credit: u32,
    },
    /// A consumer's ceiling is another one; a lower one takes nothing back.
    Credit {
        /// The consumer.
        consumer: ConsumerId,
        /// The new ceiling; at most 1,024 count.
        ceiling: u32,
    },
    /// A consumer's socket is lost: it is handed nothing, and its leases end
    /// `ack_wait` from now at the latest, unless they were extended.
    Disconnected(ConsumerId),
    /// It is back: leases end `max_processing` after their delivery again.
    Connected(ConsumerId),
    /// A consumer leaves.
    Left {
        /// The consumer.
        consumer: ConsumerId,
        /// How.
        how: Leave,
    },
    /// Verdicts of a consumer, each answered by `Settled` or `Gone`.
    Settle {
        /// The consumer.
        consumer: ConsumerId,
        /// Its words.
        verdicts: Vec<(Token, Verdict)>,
    },
    /// A delivery's lease ends `lease` from now; answered by nothing, or by `Gone`.
    Extend {
        /// The consumer.
        consumer: ConsumerId,
        /// The delivery.
        token: Token,
        /// From now.
        lease: Duration,
    },

    /// Another member says something.
    Told {
        /// Who.
        from: MemberId,
        /// What.
        word: Word,
    },

    /// Nothing new is handed out from now on and every partition is given up,
    /// whatever views say; what is out may still be settled.
    Drain,
    /// The end: what is still out has failed with class `lost`. Nothing works
    /// afterwards; [`crate::Group::is_idle`] tells when everything is stored.
    Leave,
    /// Nothing but time has passed.
    Tick,
}

/// How the store of a cursor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreResult {
    /// Durable, under this version.
    Stored(CellVersion),
    /// Somebody else stored since.
    Fenced,
    /// It failed, and may have happened all the same. The group loads the cell
    /// and compares.
    InDoubt,
}
