//! Records that are fetched by position: what is unsettled in a cursor, and
//! what waits in the retry channel longer than memory should hold it.

use std::sync::Arc;

use handbell_backend::{Position, Record, Trimmed};
use handbell_protocol::Timestamp;

use super::{
    Window,
    track::{Life, Track},
};
use crate::{
    Alarm, Output, Request, Source,
    entry::{Entry, Slot, Standing, bytes_of},
    member::Member,
    outgoing::retried,
};

/// What the first fetch asks for beside the unsettled: the records at the
/// marks, by whose times a log that went back and grew again is recognised.
const MARKS: Slot = Slot { index: u32::MAX, id: 0 };

/// What is missing of a track, for its consumers.
fn gap(track: &Track, lost: &[Position]) -> Option<Trimmed> {
    let of_track = || lost.iter().filter(|position| track.counts(position));
    let from = of_track().min_by_key(|position| position.offset)?.clone();
    let last = of_track().max_by_key(|position| position.offset)?;
    let to = Position { offset: last.offset.saturating_add(1), ..last.clone() };
    Some(Trimmed { from, to, count: Some(of_track().count() as u64) })
}

/// By what a record is told from another: its offset and when it was stored.
fn at(position: &Position) -> (u64, Timestamp) {
    (position.offset, position.time)
}

impl Window {
    /// Retry channel first, each log in order: so that each key's records
    /// come in theirs.
    pub(super) fn fetch_all(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        let mut slots: Vec<_> = self.slots.iter().map(|(slot, entry)| (self.rank(entry), slot)).collect();
        slots.sort_unstable();
        let mut slots: Vec<_> = slots.into_iter().map(|(_, slot)| slot).collect();
        let mut positions: Vec<_> =
            slots.iter().filter_map(|slot| self.slots.get(*slot)).map(|e| self.position(e)).collect();
        let known = |track: &&Track| track.life == Life::Live && track.read.time != Timestamp::default();
        for track in self.tracks.iter().filter(known) {
            slots.push(MARKS);
            positions.push(track.position(track.read));
        }
        self.fetch(member, slots, positions, out);
    }

    fn rank(&self, entry: &Entry) -> (Source, usize, u64) {
        (self.tracks[entry.track].source, entry.track, entry.offset)
    }

    /// Fetches what is wanted again and isn't in memory.
    pub(super) fn fetch_cold(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        let slots = std::mem::take(&mut self.cold);
        let positions = slots.iter().filter_map(|slot| self.slots.get(*slot)).map(|e| self.position(e)).collect();
        let slots = slots.into_iter().filter(|slot| self.slots.get(*slot).is_some()).collect();
        self.fetch(member, slots, positions, out);
    }

    fn fetch(&mut self, member: &mut Member, slots: Vec<Slot>, positions: Vec<Position>, out: &mut Vec<Output>) {
        if !slots.is_empty() {
            let request = member.request();
            self.fetches.insert(request, slots);
            out.push(Output::Fetch { request, positions });
        }
    }

    /// Whether it waits for that fetch.
    pub(crate) fn fetches(&self, request: Request) -> bool {
        self.fetches.contains_key(&request)
    }

    /// Records that were fetched.
    pub(crate) fn fetched(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        request: Request,
        records: Vec<Option<Arc<Record>>>,
        out: &mut Vec<Output>,
    ) {
        let Some(slots) = self.fetches.remove(&request) else { return };
        let mut lost = vec![];
        for (slot, record) in slots.into_iter().zip(records) {
            match record {
                Some(record) if slot == MARKS => self.check_mark(member, &record.position, out),
                None if slot == MARKS => {}
                Some(record) => lost.extend(self.arrived(member, now, slot, &record, out)),
                None => lost.push(slot),
            }
        }
        self.lose(member, lost, out);
    }

    /// The record of an entry is here; tells the entry if it is another record.
    fn arrived(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        slot: Slot,
        record: &Arc<Record>,
        out: &mut Vec<Output>,
    ) -> Option<Slot> {
        let track = self.slots.get(slot)?.track;
        let expected = self.slots.get(slot).map(|entry| self.position(entry))?;
        if !(expected.comparable(&record.position) && at(&expected) == at(&record.position)) {
            return Some(slot);
        }
        let retry = self.tracks[track].source == Source::Retry;
        let record = if retry { retried(record).record } else { Arc::clone(record) };
        let key = Self::key(member, &record);
        if retry && self.slots.get(slot)?.record.is_none() {
            member.ahead.waiting += bytes_of(&record);
        }
        let entry = self.slots.get_mut(slot)?;
        entry.record = Some(record);
        if let (None, Some(key)) = (entry.key, key) {
            entry.key = Some(key);
            let out = matches!(entry.standing, Standing::Out(_) | Standing::Elsewhere(_));
            self.keys.push(key, slot.index);
            if retry {
                self.keys.lead(key);
            }
            if out {
                self.keys.hold(key);
            }
        }
        self.go_on(member, now, slot, out);
        None
    }

    /// A log that went back and has grown beyond its mark since is read anew
    /// from its beginning: where it went back to can't be known.
    fn check_mark(&mut self, member: &mut Member, found: &Position, out: &mut Vec<Output>) {
        let Some(index) = self.tracks.iter().position(|track| track.life == Life::Live && track.counts(found)) else {
            return;
        };
        let read = self.tracks[index].read;
        if read.offset == found.offset && read.time != found.time {
            let entries = self.slots.which(|entry| entry.track == index);
            entries.into_iter().for_each(|slot| self.finish(member, slot));
            self.reset(index, &Position { offset: 0, ..found.clone() }, out);
        }
    }

    /// Unsettled records that aren't there any more.
    pub(super) fn lose(&mut self, member: &mut Member, lost: Vec<Slot>, out: &mut Vec<Output>) {
        let entries = lost.iter().filter_map(|slot| self.slots.get(*slot));
        let positions: Vec<_> = entries.map(|entry| self.position(entry)).collect();
        if !positions.is_empty() {
            member.counters.lost += positions.len() as u64;
            lost.into_iter().for_each(|slot| self.finish(member, slot));
            self.stores.dirty();
            out.extend(self.tracks.iter().filter_map(|track| gap(track, &positions)).map(Output::Gap));
            out.push(Output::Alarm(Alarm::Lost { positions }));
        }
    }
}
