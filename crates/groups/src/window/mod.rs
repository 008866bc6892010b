//! One partition that this member holds: what was read of it and isn't done.
//!
//! Split by what happens: [`open`] makes it of a cursor, [`fetch`] brings the
//! records that it names, [`read`] takes
//! records in, [`reserve`], [`snapshot`] and [`store`] write the cursor,
//! [`hand_out`], [`settle`] and [`publish`] are a record's way, [`streams`]
//! says what is read, [`release`] gives it up.

use std::collections::HashMap;

use handbell_backend::{Partition, Position};
use handbell_protocol::Timestamp;

use crate::{
    Output, Request, Source, Suspicion,
    entry::{Entry, Handle, NEVER, Slot, Slots, Standing},
    keys::Keys,
    member::{Member, Timer},
};

mod fetch;
mod hand_out;
mod open;
mod publish;
mod read;
mod release;
mod reserve;
mod settle;
mod snapshot;
mod store;
mod stores;
mod streams;
mod track;

pub(crate) use release::Released;
pub(crate) use settle::Fate;
pub(crate) use store::Checked;
pub(crate) use stores::Batch;
use {open::Stage, stores::Stores, streams::Stream, track::Point, track::Track};

#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) partition: Partition,
    slots: Slots,
    keys: Keys,
    tracks: Vec<Track>,
    streams: [Stream; 4],
    stores: Stores,
    stage: Stage,
    /// Nothing is handed out any more: the partition is given up.
    releasing: bool,
    /// What was out here from before the claim is this window's again.
    adopted: bool,
    /// How many entries lie at or below their mark.
    reserved: usize,
    /// How many come from topics.
    topics: usize,
    /// How many of these were never handed out.
    idle: usize,
    /// Which entries go to the retry channel, by the place that they leave.
    moves: HashMap<(usize, u64), Slot>,
    /// Entries whose record must be fetched.
    cold: Vec<Slot>,
    fetches: HashMap<Request, Vec<Slot>>,
    #[cfg(feature = "sabotage")]
    sabotage: Option<crate::Sabotage>,
}

impl Window {
    fn handle(&self, slot: Slot) -> Handle {
        Handle { partition: self.partition, slot }
    }

    /// Where an entry lies now.
    fn position(&self, entry: &Entry) -> Position {
        self.tracks[entry.track].position(Point { offset: entry.offset, time: entry.time })
    }

    /// Whether an entry may be handed out: nothing holds it but credit and,
    /// for a suspect, its turn.
    fn may_go(&self, slot: Slot, entry: &Entry) -> bool {
        matches!(entry.standing, Standing::Idle)
            && entry.record.is_some()
            && self.stage == Stage::Open
            && !self.releasing
            && self.stores.covers(entry.after)
            && entry.key.is_none_or(|key| self.keys.is_free(key, slot.index))
    }

    /// Puts an entry among those that may be handed out, if it may.
    fn recheck(&mut self, member: &mut Member, slot: Slot) {
        let Some(entry) = self.slots.get(slot) else { return };
        if entry.queued || !self.may_go(slot, entry) {
            return;
        }
        let failures = entry.failures + u32::from(entry.suspicion == Suspicion::Blamed);
        let (priority, suspicion, handle) = (entry.priority(), entry.suspicion, self.handle(slot));
        match suspicion {
            Suspicion::None => member.ready.push(priority, handle),
            Suspicion::Consumer => member.ready.push_lonely(handle),
            Suspicion::Alone if member.suspect == Some(handle) => member.ready.push_turn(handle),
            Suspicion::Holder | Suspicion::Alone | Suspicion::Blamed => member.ready.push_suspect(failures, handle),
        }
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.queued = true;
        }
    }

    fn recheck_first(&mut self, member: &mut Member, key: Option<u64>) {
        let first = key.and_then(|key| self.keys.first(key)).and_then(|index| self.slots.at(index));
        if let Some(slot) = first {
            self.recheck(member, slot);
        }
    }

    fn recheck_all(&mut self, member: &mut Member) {
        for slot in self.slots.which(|entry| matches!(entry.standing, Standing::Idle)) {
            self.recheck(member, slot);
        }
    }

    /// An entry is done, or is no concern of this window any more.
    fn finish(&mut self, member: &mut Member, slot: Slot) {
        self.unqueue_ahead(member, slot);
        self.leave_track(member, slot);
        let Some(entry) = self.slots.remove(slot) else { return };
        if let Some(key) = entry.key {
            if matches!(entry.standing, Standing::Out(_) | Standing::Elsewhere(_)) {
                self.keys.free(key);
            }
            self.keys.remove(key, slot.index);
        }
        if let Standing::Moving { publish: Some(request), .. } | Standing::Dying { publish: Some(request), .. } =
            entry.standing
        {
            member.publishes.remove(&request);
        }
        member.clear_suspect(self.partition, slot);
        self.recheck_first(member, entry.key);
    }

    /// An entry lies on its track no more.
    fn leave_track(&mut self, member: &mut Member, slot: Slot) {
        let Some(entry) = self.slots.get(slot) else { return };
        let track = &mut self.tracks[entry.track];
        track.hand(Point { offset: entry.offset, time: entry.time });
        self.reserved -= usize::from(entry.reserved);
        self.moves.remove(&(entry.track, entry.offset));
        match track.source {
            Source::Topic => self.topics -= 1,
            Source::Retry => {
                member.ahead.waiting = member.ahead.waiting.saturating_sub(entry.bytes());
                if track.waiting.get(&entry.offset) == Some(&slot) {
                    track.waiting.remove(&entry.offset);
                }
            }
        }
    }

    /// It doesn't count as read ahead any more.
    fn unqueue_ahead(&mut self, member: &mut Member, slot: Slot) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        if std::mem::take(&mut entry.ahead) {
            self.idle -= 1;
            member.ahead.events -= 1;
            member.ahead.bytes -= entry.bytes();
        }
    }

    /// What is due by itself: a waiting record comes again.
    pub(crate) fn due(&mut self, member: &mut Member, now: Timestamp, slot: Slot) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        match entry.standing {
            Standing::Waiting(due) if due <= now => entry.standing = Standing::Idle,
            _ => return,
        }
        let (reserved, cold) = (entry.reserved, entry.record.is_none() && self.stage != Stage::Claiming);
        if cold {
            self.cold.push(slot);
        }
        if reserved {
            self.recheck(member, slot);
        } else {
            self.stores.wish();
        }
    }

    /// It comes again at `due`.
    fn wait(&mut self, member: &mut Member, now: Timestamp, slot: Slot, due: Timestamp) {
        let handle = self.handle(slot);
        let Some(entry) = self.slots.get_mut(slot) else { return };
        entry.standing = Standing::Waiting(due);
        if due > now {
            member.timers.set(due, Timer::Due(handle));
        } else {
            self.due(member, now, slot);
        }
    }

    /// Does what can be done by now.
    pub(crate) fn pump(&mut self, member: &mut Member, now: Timestamp, out: &mut Vec<Output>) {
        self.advance_stage(member, out);
        self.fetch_cold(member, out);
        self.adjust_streams(member, out);
        self.start_store(member, now, out);
    }

    /// This member was silent for a lease: it hands out nothing before a store
    /// has proved that it still holds the partition.
    pub(crate) fn doubt(&mut self) {
        self.stores.doubt();
    }

    /// See [`crate::Group::handed_out`].
    pub(crate) fn handed_out(&self, lane: handbell_protocol::Lane) -> Option<Position> {
        let index = self.tracks.iter().rposition(|t| t.is_of(Source::Topic, lane) && t.read.offset > 0)?;
        let given_back = |entry: &Entry| entry.reserved && matches!(entry.standing, Standing::Idle);
        let waiting = |entry: &&Entry| entry.track == index && (entry.ahead || given_back(entry));
        let lowest = self.slots.iter().map(|(_, entry)| entry).filter(waiting).map(|entry| entry.offset).min();
        let track = &self.tracks[index];
        let point = lowest.map_or(track.read, |offset| Point { offset: offset.saturating_sub(1), ..track.read });
        Some(track.position(point))
    }

    fn insert(&mut self, member: &mut Member, entry: Entry) -> Slot {
        self.topics += usize::from(self.tracks[entry.track].source == Source::Topic);
        self.reserved += usize::from(entry.reserved);
        let id = member.number();
        self.slots.insert(id, entry)
    }

    /// The number of a record's key, if the group keeps its order.
    fn key(member: &Member, record: &handbell_backend::Record) -> Option<u64> {
        #[cfg(feature = "sabotage")]
        if member.sabotaged(crate::Sabotage::KeyHoldIgnored) {
            return None;
        }
        let routing = &record.envelope.routing;
        let ordered = member.config.order == handbell_protocol::frame::Order::Key;
        let key = routing.partition_key.as_deref().filter(|_| ordered)?;
        Some(crate::keys::key_of(key, routing.lane()))
    }
}

/// An entry that was just read.
fn fresh(track: usize, point: Point, record: std::sync::Arc<handbell_backend::Record>, key: Option<u64>) -> Entry {
    Entry {
        track,
        offset: point.offset,
        time: point.time,
        record: Some(record),
        key,
        failures: 0,
        suspicion: Suspicion::None,
        standing: Standing::Idle,
        after: NEVER,
        reserved: false,
        queued: false,
        ahead: false,
    }
}
