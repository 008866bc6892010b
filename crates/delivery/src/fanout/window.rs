//! What a fan-out has read and not yet handed out, in the order in which it
//! is due: the express lane first, within a lane by priority, then by age.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use handbell_backend::Record;
use handbell_protocol::{Lane, Priority};

/// An event on its way to the consumer.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) record: Arc<Record>,
    /// Which delivery its next one is.
    pub(super) attempt: u32,
    /// Its place among all that was read.
    pub(super) seq: u64,
    /// It has never been taken out of the window.
    pub(super) fresh: bool,
}

/// A partition key in a lane.
type Key = (Lane, Box<str>);

/// The window. A key's events leave it one at a time: the next one when
/// [`Window::release`] says that the one before is done with.
#[derive(Debug)]
pub(super) struct Window {
    by_key: bool,
    ready: BTreeMap<(Lane, Reverse<Priority>, u64), Waiting>,
    /// Keys of which an event is ready, out or waits to come again, each with
    /// what stands behind it.
    held: HashMap<Key, VecDeque<Waiting>>,
    retries: BTreeMap<(Instant, u64), Waiting>,
    events: usize,
    bytes: usize,
    fresh: usize,
}

// === impl Window ===

impl Window {
    pub(super) fn new(by_key: bool) -> Self {
        Self {
            by_key,
            ready: BTreeMap::new(),
            held: HashMap::new(),
            retries: BTreeMap::new(),
            events: 0,
            bytes: 0,
            fresh: 0,
        }
    }

    /// How many events wait, and about how many bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.events, self.bytes)
    }

    /// How many of them have never been taken out.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }

    /// Takes in an event that was read.
    pub(super) fn read(&mut self, event: Waiting) {
        self.count_in(&event);
        match self.key(&event.record) {
            Some(key) => match self.held.get_mut(&key) {
                Some(behind) => behind.push_back(event),
                None => {
                    self.held.insert(key, VecDeque::new());
                    self.make_ready(event);
                }
            },
            None => self.make_ready(event),
        }
    }

    /// Takes back an event that was out, at its old place; its key stays held.
    pub(super) fn put_back(&mut self, event: Waiting) {
        self.count_in(&event);
        self.make_ready(event);
    }

    /// Takes back an event that comes again then; its key stays held.
    pub(super) fn retry(&mut self, event: Waiting, due: Instant) {
        self.count_in(&event);
        self.retries.insert((due, event.seq), event);
    }

    /// What is due becomes ready.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(entry) = self.retries.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            self.make_ready(event);
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.retries.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the next one out; its key is held until it is released.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let (_, event) = self.ready.pop_first()?;
        self.events -= 1;
        self.bytes -= weight(&event.record);
        self.fresh -= usize::from(event.fresh);
        Some(event)
    }

    /// An event is done with: the next of its key is ready.
    pub(super) fn release(&mut self, record: &Record) {
        let Some(key) = self.key(record) else { return };
        let Some(behind) = self.held.get_mut(&key) else { return };
        match behind.pop_front() {
            Some(next) => self.make_ready(next),
            None => drop(self.held.remove(&key)),
        }
    }

    fn make_ready(&mut self, event: Waiting) {
        let routing = &event.record.envelope.routing;
        self.ready.insert((routing.lane(), Reverse(routing.priority), event.seq), event);
    }

    fn count_in(&mut self, event: &Waiting) {
        self.events += 1;
        self.bytes += weight(&event.record);
        self.fresh += usize::from(event.fresh);
    }

    fn key(&self, record: &Record) -> Option<Key> {
        let routing = &record.envelope.routing;
        let key = routing.partition_key.as_deref().filter(|_| self.by_key)?;
        Some((routing.lane(), key.into()))
    }
}

/// About what an event takes in memory.
fn weight(record: &Record) -> usize {
    record.envelope.payload.as_bytes().len() + 512
}
