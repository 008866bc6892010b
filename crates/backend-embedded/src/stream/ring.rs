//! The order in which a stream's newest records leave memory, and those
//! records in the order of their offsets.

use std::{collections::VecDeque, sync::Arc};

use handbell_backend::Record;

#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    slot: usize,
    bytes: usize,
}

impl Ring {
    pub(super) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, max_records, max_bytes }
    }

    /// Adds the newest record.
    pub(super) fn push(&mut self, record: Arc<Record>, slot: usize, bytes: usize) {
        self.bytes += bytes;
        self.entries.push_back(Entry { record, slot, bytes });
    }

    /// Removes the oldest record if there are too many; tells its slot.
    pub(super) fn pop_surplus(&mut self) -> Option<usize> {
        if self.entries.len() > self.max_records || self.bytes > self.max_bytes { self.pop() } else { None }
    }

    /// Removes the oldest record if it lies at or below `offset`; tells its slot.
    pub(super) fn pop_up_to(&mut self, offset: u64) -> Option<usize> {
        if self.entries.front()?.record.position.offset <= offset { self.pop() } else { None }
    }

    /// The records behind `offset`, with their slots, in order.
    pub(super) fn after(&self, offset: u64) -> impl Iterator<Item = (usize, &Arc<Record>)> {
        let first = self.entries.partition_point(|entry| entry.record.position.offset <= offset);
        self.entries.range(first..).map(|entry| (entry.slot, &entry.record))
    }

    fn pop(&mut self) -> Option<usize> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes;
        Some(entry.slot)
    }
}
