//! Reading partitions in order.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use handbell_protocol::{Lane, Timestamp, TopicPattern};

use crate::{BackendError, Class, Partition, Position, Record};

/// What to read: one class and lane, some topics, some partitions.
#[derive(Clone, Debug)]
pub struct TailSpec {
    /// The class.
    pub class: Class,
    /// The lane.
    pub lane: Lane,
    /// Topics and patterns; a record that matches several comes once. Empty: all.
    pub topics: Vec<TopicPattern>,
    /// Each partition to read, and where to begin in it.
    pub partitions: BTreeMap<Partition, Start>,
}

/// Where reading begins in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that is kept.
    Oldest,
    /// With records stored after the tail was opened.
    New,
    /// With the first record stored at that broker time or later.
    Time(Timestamp),
    /// With the record at that position, or the first after it; a position of
    /// another partition, lane or incarnation counts as its time.
    At(Position),
    /// With the first record after that position; likewise.
    After(Position),
}

/// What a tail hands out.
#[derive(Clone, Debug)]
pub enum TailItem {
    /// Records, in order within each partition; never empty.
    Records(Vec<Arc<Record>>),
    /// Retention removed records that this tail had not read; reading goes on
    /// behind them. Comes before the records behind the gap.
    Trimmed(Trimmed),
    /// Everything that was stored when the tail was opened has been handed
    /// out. Comes exactly once, also when there was nothing.
    Level,
}

/// What retention removed before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The first position that may be missing.
    pub from: Position,
    /// The first position that is there.
    pub to: Position,
    /// How many of this tail's records are missing, where it is known.
    pub count: Option<u64>,
}

/// Ordered, gapless reading without repeats. Dropping it ends the reading.
#[async_trait]
pub trait Tail: Send {
    /// Waits for the next item: at most `max` records.
    ///
    /// MUST be cancel-safe: a dropped call loses nothing. MUST hand out the
    /// records of a partition in the order of their offsets, each once, none
    /// left out except as told by [`TailItem::Trimmed`]. MUST hand out only
    /// records that are durable.
    ///
    /// # Errors
    /// Retryable ones leave the tail where it was; after any other it has ended.
    async fn next(&mut self, max: usize) -> Result<TailItem, BackendError>;
}
