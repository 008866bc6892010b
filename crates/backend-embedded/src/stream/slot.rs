//! One channel in memory: what is counted of it and its newest records.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use handbell_backend::Record;
use handbell_protocol::{Timestamp, Topic};

use super::Bell;

/// How far retention has come in one partition of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trim {
    /// The highest offset removed.
    pub(crate) upto: u64,
    /// When that record was stored.
    pub(crate) time: Timestamp,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Its number in the database.
    pub(crate) id: i64,
    pub(crate) topic: Topic,
    /// How many records are kept, and their bytes.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// The last record ever stored.
    pub(crate) last: u64,
    pub(crate) last_time: Timestamp,
    /// Whether the four above have changed since they were stored.
    pub(crate) dirty: bool,
    /// When the oldest that is kept was stored; `None`: to be looked up.
    pub(crate) oldest: Option<Timestamp>,
    /// What retention has removed, by partition.
    pub(crate) trims: BTreeMap<u16, Trim>,
    /// Every kept record above this offset is in `recent`.
    pub(crate) floor: u64,
    pub(crate) recent: VecDeque<Arc<Record>>,
    pub(crate) listeners: Vec<(u64, Bell)>,
}

impl Slot {
    pub(super) fn new(id: i64, topic: Topic) -> Self {
        Self {
            id,
            topic,
            records: 0,
            bytes: 0,
            last: 0,
            last_time: Timestamp::default(),
            dirty: false,
            oldest: None,
            trims: BTreeMap::new(),
            floor: 0,
            recent: VecDeque::new(),
            listeners: Vec::new(),
        }
    }

    /// Counts a stored record.
    pub(crate) fn stored(&mut self, offset: u64, time: Timestamp, bytes: u64) {
        if self.records == 0 {
            self.oldest = Some(time);
        }
        self.records += 1;
        self.bytes += bytes;
        self.last = offset;
        self.last_time = time;
        self.dirty = true;
    }

    /// Counts removed records.
    pub(crate) fn removed(&mut self, records: u64, bytes: u64) {
        self.records = self.records.saturating_sub(records);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.oldest = None;
        self.dirty = true;
    }

    pub(super) fn evict_oldest(&mut self) {
        if let Some(record) = self.recent.pop_front() {
            self.floor = record.position.offset;
        }
    }
}
