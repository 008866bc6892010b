//! A look at the newest records for one reader: what it hasn't read is either
//! in memory, or it has to go to the database.

use std::sync::Arc;

use handbell_backend::Record;

use super::{Slot, State};

/// Up to how many channels a reader's records are merged; with more, the whole
/// ring is looked through.
const MERGED: usize = 8;

/// What a look found.
#[derive(Debug)]
pub(crate) enum Look {
    /// Records in order, and the offset up to which that is all.
    Records(Vec<Arc<Record>>, u64),
    /// These slots have records that are no more in memory.
    Behind(Vec<usize>),
}

impl State {
    /// The records of the slots `mine` in (`after`, `upto`] that are `fit`, at most `max`.
    pub(crate) fn look(
        &self,
        mine: &[usize],
        after: u64,
        upto: u64,
        max: usize,
        fit: impl Fn(&Record) -> bool,
    ) -> Look {
        let live: Vec<usize> = mine.iter().copied().filter(|slot| self.slots[*slot].last > after).collect();
        if live.iter().any(|slot| self.slots[*slot].floor > after) {
            return Look::Behind(live);
        }
        let mut taken = Taken { records: Vec::new(), upto, max };
        if live.len() <= MERGED {
            self.merge(&live, after, &mut taken, fit);
        } else {
            self.pass(&live, after, &mut taken, fit);
        }
        Look::Records(taken.records, taken.upto)
    }

    fn merge(&self, live: &[usize], after: u64, taken: &mut Taken, fit: impl Fn(&Record) -> bool) {
        let mut heads: Vec<_> = live.iter().map(|slot| recent_after(&self.slots[*slot], after)).collect();
        let mut next: Vec<_> = heads.iter_mut().map(Iterator::next).collect();
        while let Some((head, record)) = oldest(&next) {
            if !taken.offer(record, &fit) {
                return;
            }
            next[head] = heads[head].next();
        }
    }

    fn pass(&self, live: &[usize], after: u64, taken: &mut Taken, fit: impl Fn(&Record) -> bool) {
        let mut wanted = vec![false; self.slots.len()];
        for slot in live {
            wanted[*slot] = true;
        }
        for (slot, record) in self.ring.after(after) {
            if wanted[slot] && !taken.offer(record, &fit) {
                return;
            }
        }
    }
}

fn oldest<'a>(next: &[Option<&'a Arc<Record>>]) -> Option<(usize, &'a Arc<Record>)> {
    let there = next.iter().enumerate().filter_map(|(head, record)| record.map(|record| (head, record)));
    there.min_by_key(|(_, record)| record.position.offset)
}

fn recent_after(slot: &Slot, after: u64) -> impl Iterator<Item = &Arc<Record>> {
    let first = slot.recent.partition_point(|record| record.position.offset <= after);
    slot.recent.range(first..)
}

struct Taken {
    records: Vec<Arc<Record>>,
    upto: u64,
    max: usize,
}

impl Taken {
    /// Takes the next record if it is fit; false when there is enough.
    fn offer(&mut self, record: &Arc<Record>, fit: &impl Fn(&Record) -> bool) -> bool {
        if record.position.offset > self.upto {
            return false;
        }
        if fit(record) {
            self.records.push(Arc::clone(record));
        }
        if self.records.len() < self.max {
            return true;
        }
        self.upto = record.position.offset;
        false
    }
}
