//! What a backend can do, and what it does instead of what it can't.

use std::{collections::BTreeSet, time::Duration};

use handbell_protocol::Topic;

use crate::PartitionCount;

/// What a backend can do. The conformance suite chooses its cases by it, and
/// the matrix in `docs/backends.md` is made from both.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The backend's name: `embedded`, `nats`, `kafka`.
    pub name: &'static str,
    /// When an acknowledged record survives what, in one sentence.
    pub durability: String,
    /// How many partitions the namespace has.
    pub partitions: PartitionCount,
    /// The largest event in bytes: payload and headers.
    pub max_event: usize,
    /// Where a second storing of the same is told.
    pub dedup: DedupReach,
    /// Whether several processes can use the log at once.
    pub shared_between_processes: bool,
    /// Whether a queue may have more consumers than there are partitions.
    pub queue_beyond_partitions: bool,
    /// The topics that are stored under their own names only, where outside
    /// clients read and write them too (class Shared). Empty where there can't
    /// be any outside client: then a topic that is declared shared is one like
    /// any other.
    pub shared: BTreeSet<Topic>,
}

/// How far back a publish recognises what was stored before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupReach {
    /// As long as the first is kept.
    Kept,
    /// Within that time; later the readers drop repeats.
    Window(Duration),
    /// Never at publish; the readers drop repeats.
    Readers,
}
