//! What a queue decides: which record is lent next, what a settlement does,
//! when a lease ends. Time and records are handed in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use handbell_backend::{Record, Settlement};
use handbell_protocol::Lane;

/// How many records may be unsettled at a time; more aren't begun.
pub(super) const MAX_UNSETTLED: usize = 65_536;

/// How many bytes of a lane are read ahead; one record always is.
pub(super) const READ_AHEAD: usize = 4 * 1_024 * 1_024;

/// A record's standing in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) lane: Lane,
    /// The attempt that its next, or running, lending is.
    pub(super) attempt: u32,
    pub(super) suspect: bool,
}

/// The state of one queue.
#[derive(Debug, Default)]
pub(super) struct Core {
    /// What can be lent, by lane and offset.
    ready: [BTreeMap<u64, Ready>; 2],
    /// What is due later.
    delayed: BTreeMap<(Instant, u64), Item>,
    out: HashMap<u64, Out>,
    /// The leases of `out` by their ends.
    ends: BTreeSet<(Instant, u64)>,
    last_lease: u64,
}

#[derive(Clone, Debug)]
struct Ready {
    item: Item,
    record: Option<Arc<Record>>,
    /// Whether the item has a row; others were never lent.
    stored: bool,
}

#[derive(Clone, Debug)]
struct Out {
    item: Item,
    lease: u64,
    until: Instant,
    record: Weak<Record>,
}

/// A lending.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) item: Item,
    pub(super) record: Arc<Record>,
    pub(super) lease: u64,
    /// Whether it was lent before.
    pub(super) stored: bool,
}

impl Taken {
    pub(super) fn offset(&self) -> u64 {
        self.record.position.offset
    }
}

/// What a settlement did, so that it can be stored and taken back.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) offset: u64,
    was: Out,
    /// What stays of it, and when it is due; `None`: it is gone.
    pub(super) stays: Option<(Item, Option<Instant>)>,
}

/// An item as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shelved {
    pub(super) offset: u64,
    pub(super) item: Item,
    pub(super) due: Option<Instant>,
}

impl Core {
    /// An empty queue whose lease numbers begin behind `last_lease`.
    pub(super) fn new(last_lease: u64) -> Self {
        Self { last_lease, ..Self::default() }
    }

    /// Adds a record that was never lent.
    pub(super) fn add(&mut self, record: Arc<Record>) {
        let item = Item { lane: record.position.lane, attempt: 1, suspect: false };
        let offset = record.position.offset;
        self.lane(item.lane).insert(offset, Ready { item, record: Some(record), stored: false });
    }

    /// Adds an item that is stored, due at `due` or at once.
    pub(super) fn restore(&mut self, offset: u64, item: Item, due: Option<Instant>) {
        self.put(offset, item, due, None);
    }

    /// Makes ready what is due, and what was out when its lease ended.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(((_, offset), item)) = self.delayed.first_key_value().filter(|((due, _), _)| *due <= now) {
            let (offset, item) = (*offset, *item);
            self.delayed.pop_first();
            self.put(offset, item, None, None);
        }
        while let Some((_, offset)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.pop_first();
            if let Some(out) = self.out.remove(&offset) {
                let item = Item { attempt: out.item.attempt + 1, suspect: true, ..out.item };
                self.put(offset, item, None, out.record.upgrade());
            }
        }
    }

    /// When [`Core::wake`] has something to do next.
    pub(super) fn next_event(&self) -> Option<Instant> {
        let due = self.delayed.first_key_value().map(|((due, _), _)| *due);
        let end = self.ends.first().map(|(until, _)| *until);
        due.into_iter().chain(end).min()
    }

    /// How many records of a lane can be lent.
    pub(super) fn ready(&self, lane: Lane) -> usize {
        self.ready[index(lane)].len()
    }

    /// Whether records that were never lent may be added.
    pub(super) fn has_room(&self) -> bool {
        let ready = self.ready.iter().map(BTreeMap::len).sum::<usize>();
        ready + self.delayed.len() + self.out.len() < MAX_UNSETTLED
    }

    /// Whether enough bytes of a lane are in memory.
    pub(super) fn is_heavy(&self, lane: Lane) -> bool {
        let records = self.ready[index(lane)].values().filter_map(|ready| ready.record.as_ref());
        records.map(|record| record.envelope.payload.as_bytes().len()).sum::<usize>() >= READ_AHEAD
    }

    /// Which of the next `max` have no record yet.
    pub(super) fn wanting(&self, max: usize) -> Vec<u64> {
        let next = self.ready.iter().flatten().take(max);
        next.filter(|(_, ready)| ready.record.is_none()).map(|(offset, _)| *offset).collect()
    }

    /// Supplies the record of an item that is ready.
    pub(super) fn supply(&mut self, record: Arc<Record>) {
        if let Some(ready) = self.lane(record.position.lane).get_mut(&record.position.offset) {
            ready.record = Some(record);
        }
    }

    /// Drops an item whose record retention has removed.
    pub(super) fn forget(&mut self, offset: u64) {
        for lane in &mut self.ready {
            lane.remove(&offset);
        }
    }

    /// Lends at most `max` records until `until`: express first, oldest first.
    pub(super) fn take(&mut self, max: usize, until: Instant) -> Vec<Taken> {
        let mut taken = Vec::new();
        for lane in Lane::ALL {
            while taken.len() < max
                && let Some(entry) = self.lane(lane).first_entry()
            {
                let Some(record) = entry.get().record.clone() else { return taken };
                let Ready { item, stored, .. } = entry.remove();
                taken.push(self.lend(item, record, stored, until));
            }
        }
        taken
    }

    fn lend(&mut self, item: Item, record: Arc<Record>, stored: bool, until: Instant) -> Taken {
        self.last_lease += 1;
        let (offset, lease) = (record.position.offset, self.last_lease);
        self.out.insert(offset, Out { item, lease, until, record: Arc::downgrade(&record) });
        self.ends.insert((until, offset));
        Taken { item, record, lease, stored }
    }

    /// Takes a lending back that could not be stored.
    pub(super) fn put_back(&mut self, taken: Taken) {
        let offset = taken.offset();
        if self.remove_out(offset, taken.lease).is_some() {
            let Taken { item, record, stored, .. } = taken;
            self.lane(item.lane).insert(offset, Ready { item, record: Some(record), stored });
        }
    }

    /// Settles a lending that still runs; `None` when it has ended.
    pub(super) fn settle(&mut self, offset: u64, lease: u64, settlement: &Settlement, now: Instant) -> Option<Settled> {
        if !self.runs(offset, lease, now) {
            return None;
        }
        let was = self.remove_out(offset, lease)?;
        let stays = match settlement {
            Settlement::Ack | Settlement::Term { .. } => None,
            Settlement::Nak { delay, counted } => Some(again(was.item, *delay, *counted, now)),
        };
        if let Some((item, due)) = stays {
            self.put(offset, item, due, was.record.upgrade());
        }
        Some(Settled { offset, was, stays })
    }

    /// Takes a settlement back that could not be stored.
    pub(super) fn unsettle(&mut self, settled: Settled) {
        let Settled { offset, was, stays } = settled;
        if let Some((item, due)) = stays {
            self.lane(item.lane).remove(&offset);
            if let Some(due) = due {
                self.delayed.remove(&(due, offset));
            }
        }
        self.ends.insert((was.until, offset));
        self.out.insert(offset, was);
    }

    /// Moves the end of a lease that still runs.
    pub(super) fn extend(&mut self, offset: u64, lease: u64, now: Instant, until: Instant) -> bool {
        if !self.runs(offset, lease, now) {
            return false;
        }
        let Some(out) = self.out.get_mut(&offset) else { return false };
        self.ends.remove(&(out.until, offset));
        self.ends.insert((until, offset));
        out.until = until;
        true
    }

    /// All items that have a row, as they stand when their holders end in good
    /// order: what is out isn't counted.
    pub(super) fn shelve(&mut self, now: Instant) -> Vec<Shelved> {
        self.wake(now);
        let ready = self.ready.iter().flatten().filter(|(_, ready)| ready.stored);
        let ready = ready.map(|(offset, ready)| Shelved { offset: *offset, item: ready.item, due: None });
        let out = self.out.iter().map(|(offset, out)| Shelved { offset: *offset, item: out.item, due: None });
        let delayed = self.delayed.iter();
        let delayed = delayed.map(|((due, offset), item)| Shelved { offset: *offset, item: *item, due: Some(*due) });
        ready.chain(out).chain(delayed).collect()
    }

    fn runs(&self, offset: u64, lease: u64, now: Instant) -> bool {
        self.out.get(&offset).is_some_and(|out| out.lease == lease && out.until > now)
    }

    fn remove_out(&mut self, offset: u64, lease: u64) -> Option<Out> {
        if self.out.get(&offset)?.lease != lease {
            return None;
        }
        let out = self.out.remove(&offset)?;
        self.ends.remove(&(out.until, offset));
        Some(out)
    }

    fn put(&mut self, offset: u64, item: Item, due: Option<Instant>, record: Option<Arc<Record>>) {
        match due {
            Some(due) => drop(self.delayed.insert((due, offset), item)),
            None => drop(self.lane(item.lane).insert(offset, Ready { item, record, stored: true })),
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut BTreeMap<u64, Ready> {
        &mut self.ready[index(lane)]
    }
}

/// Express comes first.
const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Express => 0,
        Lane::Regular => 1,
    }
}

/// What was handed back unstarted stays as suspect as it was; what was tried
/// and failed has not killed its holder.
fn again(item: Item, delay: Duration, counted: bool, now: Instant) -> (Item, Option<Instant>) {
    let item = match counted {
        true => Item { attempt: item.attempt + 1, suspect: false, ..item },
        false => item,
    };
    (item, (!delay.is_zero()).then(|| later(now, delay)))
}

/// `now` + `delay`, or in a year if that can't be told.
pub(super) fn later(now: Instant, delay: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    now + delay.min(YEAR)
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
