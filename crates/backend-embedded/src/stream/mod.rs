//! Streams: the channels of one namespace, class and lane, with the newest
//! records of each in memory and those who listen.

mod listen;
mod look;
mod ring;
mod slot;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use handbell_backend::{Class, Record};
use handbell_protocol::{Lane, Namespace, Timestamp, Topic};

use crate::options::Options;

pub(crate) use listen::{Bell, Listener, Wanted};
pub(crate) use look::Look;
use ring::Ring;
pub(crate) use slot::{Slot, Trim};

/// What tells streams apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamKey {
    pub(crate) namespace: Namespace,
    pub(crate) class: Class,
    pub(crate) lane: Lane,
}

/// The channels of one namespace, class and lane.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) key: StreamKey,
    state: Mutex<State>,
}

/// What is behind a stream's lock; nothing slow is done while it is held.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) slots: Vec<Slot>,
    /// The last record of each partition: offset and broker time.
    pub(crate) ends: Vec<(u64, Timestamp)>,
    /// Whether `ends` has changed since it was stored.
    pub(crate) ends_dirty: bool,
    ring: Ring,
    listeners: HashMap<u64, Wanted>,
    next_listener: u64,
}

/// A record that was committed, for its stream's ring.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) slot: usize,
    pub(crate) record: Arc<Record>,
    pub(crate) bytes: usize,
}

impl Stream {
    pub(crate) fn new(key: StreamKey, options: &Options) -> Self {
        let partitions = usize::from(options.partitions.get());
        let state = State {
            slots: Vec::new(),
            ends: vec![(0, Timestamp::default()); partitions],
            ends_dirty: false,
            ring: Ring::new(options.recent_records, options.recent_bytes),
            listeners: HashMap::new(),
            next_listener: 0,
        };
        Self { key, state: Mutex::new(state) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel, and tells its slot. Listeners hear of it from now on.
    pub(crate) fn add_slot(&self, id: i64, topic: Topic) -> usize {
        let mut state = self.lock();
        let mut slot = Slot::new(id, topic);
        slot.listeners = state
            .listeners
            .iter()
            .filter(|(_, wanted)| wanted.wants(&slot.topic))
            .map(|(id, wanted)| (*id, wanted.bell.clone()))
            .collect();
        state.slots.push(slot);
        state.slots.len() - 1
    }
}

impl State {
    /// Takes over what was committed, in the order of offsets; tells which slots.
    pub(crate) fn append(&mut self, records: Vec<Committed>) -> Vec<usize> {
        let mut slots = Vec::new();
        for committed in records {
            if slots.last() != Some(&committed.slot) {
                slots.push(committed.slot);
            }
            self.append_one(committed);
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Wakes those who listen to one of these slots.
    pub(crate) fn wake(&self, slots: &[usize]) {
        for slot in slots {
            for (_, bell) in &self.slots[*slot].listeners {
                bell.ring();
            }
        }
    }

    fn append_one(&mut self, committed: Committed) {
        let Committed { slot, record, bytes } = committed;
        let position = &record.position;
        self.ends[usize::from(position.partition.0)] = (position.offset, position.time);
        self.ends_dirty = true;
        self.slots[slot].stored(position.offset, position.time, bytes as u64);
        self.slots[slot].recent.push_back(Arc::clone(&record));
        self.ring.push(record, slot, bytes);
        while let Some(evicted) = self.ring.pop_surplus() {
            self.slots[evicted].evict_oldest();
        }
    }

    /// Lets go of the records up to `offset`: readers look for them in the
    /// database from now on.
    pub(crate) fn forget_up_to(&mut self, offset: u64) {
        while let Some(evicted) = self.ring.pop_up_to(offset) {
            self.slots[evicted].evict_oldest();
        }
    }
}
