//! One record in a window, and the table of them.

use std::sync::Arc;

use handbell_backend::{Partition, Record};
use handbell_protocol::{Kind, Priority, Timestamp};

use crate::{MemberId, Request, Suspicion, Token};

/// Names an entry for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    /// Never used again in the process.
    pub(crate) id: u64,
}

/// Names an entry of any partition of this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle {
    pub(crate) partition: Partition,
    pub(crate) slot: Slot,
}

/// A record that isn't done.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Which of the window's tracks it lies on now.
    pub(crate) track: usize,
    pub(crate) offset: u64,
    pub(crate) time: Timestamp,
    /// As it lay on its topic; `None` while it isn't in memory.
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) key: Option<u64>,
    pub(crate) failures: u32,
    pub(crate) suspicion: Suspicion,
    pub(crate) standing: Standing,
    /// The store that must be durable before it may be handed out.
    pub(crate) after: u64,
    /// It lies at or below the mark.
    pub(crate) reserved: bool,
    /// It stands in a queue of those that may be handed out.
    pub(crate) queued: bool,
    /// It counts as read ahead.
    pub(crate) ahead: bool,
}

/// Above every store: not reserved yet.
pub(crate) const NEVER: u64 = u64::MAX;

/// Where an entry stands. What follows on what:
///
/// | from | to |
/// |---|---|
/// | `Idle` | `Out` (handed out), gone (expired) |
/// | `Out` | gone (acked, dropped), `Idle` (released), `Waiting`, `Moving`, `Dying` (failed) |
/// | `Elsewhere` | as `Out`, by word of the other member; `Idle` as a suspect when that member is gone |
/// | `Waiting` | `Idle` (due), `Moving` (written again at the retry channel's end) |
/// | `Moving` | `Moved` (written), `Waiting` (read back) |
/// | `Moved` | `Waiting` (read back) |
/// | `Dying` | gone (the dead letter is stored) |
#[derive(Debug)]
pub(crate) enum Standing {
    /// It may be handed out, when its key and the cursor allow it.
    Idle,
    /// It comes again then.
    Waiting(Timestamp),
    /// With a consumer here.
    Out(Token),
    /// With a consumer of a member that held the partition before.
    Elsewhere(MemberId),
    /// It goes to the retry channel.
    Moving { due: Timestamp, lost: bool, publish: Option<Request> },
    /// It is in the retry channel and will be read there.
    Moved,
    /// It goes to the dead letter queue.
    Dying { class: String, reason: String, publish: Option<Request> },
}

impl Entry {
    pub(crate) fn kind(&self) -> Kind {
        self.record.as_ref().map_or(Kind::Event, |record| record.envelope.event.kind())
    }

    pub(crate) fn priority(&self) -> Priority {
        self.record.as_ref().map_or(Priority::Normal, |record| record.envelope.routing.priority)
    }

    /// Roughly what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.record.as_deref().map_or(0, bytes_of)
    }
}

/// Roughly what a record takes in memory.
pub(crate) fn bytes_of(record: &Record) -> usize {
    512 + record.envelope.payload.as_bytes().len()
}

/// The entries of a window.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    entries: Vec<Option<(u64, Entry)>>,
    free: Vec<u32>,
}

impl Slots {
    pub(crate) fn insert(&mut self, id: u64, entry: Entry) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        self.entries[index as usize] = Some((id, entry));
        Slot { index, id }
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.index as usize)?.as_ref().filter(|(id, _)| *id == slot.id).map(|(_, entry)| entry)
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.index as usize)?.as_mut().filter(|(id, _)| *id == slot.id).map(|(_, entry)| entry)
    }

    /// The whole name of what lies at an index.
    pub(crate) fn at(&self, index: u32) -> Option<Slot> {
        self.entries.get(index as usize)?.as_ref().map(|(id, _)| Slot { index, id: *id })
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Entry> {
        self.get(slot)?;
        self.free.push(slot.index);
        self.entries[slot.index as usize].take().map(|(_, entry)| entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(index, one)| one.as_ref().map(|(id, entry)| (Slot { index: index as u32, id: *id }, entry)))
    }

    /// The names of those that match.
    pub(crate) fn which(&self, matches: impl Fn(&Entry) -> bool) -> Vec<Slot> {
        self.iter().filter(|(_, entry)| matches(entry)).map(|(slot, _)| slot).collect()
    }
}
