//! Taking records in.

use std::sync::Arc;

use handbell_backend::{Position, Record, Trimmed};
use handbell_protocol::Timestamp;

use super::{
    Window, fresh,
    track::{Life, Point, Track},
};
use crate::{
    Alarm, Output, Reading, Source, Suspicion,
    entry::{NEVER, Slot, Standing, bytes_of},
    member::Member,
    outgoing::{is_expired, retried},
};

/// What a position means to the tracks.
enum Found {
    /// The next record of this track.
    Next(usize),
    /// Read before.
    Repeat,
    /// This track's log went back, or was made anew.
    Reset(usize),
}

impl Window {
    pub(crate) fn read(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        reading: Reading,
        records: Vec<Arc<Record>>,
        out: &mut Vec<Output>,
    ) {
        let Some(stream) = self.stream_of(reading) else { return };
        for record in records {
            match self.find(&record.position) {
                Found::Next(track) => self.take(member, now, track, record),
                Found::Repeat => member.counters.repeats += 1,
                Found::Reset(track) => {
                    self.reset(track, &record.position, out);
                    self.close_stream(stream, out);
                    return self.open_stream(member, stream, out);
                }
            }
        }
    }

    pub(crate) fn trimmed(&mut self, member: &mut Member, reading: Reading, trimmed: Trimmed, out: &mut Vec<Output>) {
        if self.stream_of(reading).is_some() {
            member.counters.gaps += 1;
            out.push(Output::Gap(trimmed));
        }
    }

    /// A log that went back is seen by a lower offset with a later time:
    /// repeats are as old as they were.
    fn find(&mut self, position: &Position) -> Found {
        if let Some(index) = self.tracks.iter().position(|track| track.counts(position)) {
            let read = self.tracks[index].read;
            return if position.offset > read.offset {
                Found::Next(index)
            } else if position.time > read.time && read != Point::default() && read.time != Timestamp::default() {
                Found::Reset(index)
            } else {
                Found::Repeat
            };
        }
        if let Some(index) = self.tracks.iter().position(|t| t.life == Life::Live && t.is_of_log(position)) {
            return Found::Reset(index);
        }
        self.tracks.push(Track::new(position));
        Found::Next(self.tracks.len() - 1)
    }

    /// The log of a track is another one. It is read on from what survived:
    /// a new life from its beginning, a log that went back from there.
    pub(super) fn reset(&mut self, index: usize, found: &Position, out: &mut Vec<Output>) {
        let track = &mut self.tracks[index];
        let was = track.position(track.read);
        let same_life = track.counts(found);
        track.life = if same_life { Life::Ghost } else { Life::Past };
        let offset = if same_life { found.offset.saturating_sub(1) } else { 0 };
        let now = Position { offset, time: Timestamp::default(), ..found.clone() };
        self.tracks.push(Track::at(&now));
        self.stores.dirty();
        out.push(Output::Alarm(Alarm::LogReset { was, now }));
    }

    fn take(&mut self, member: &mut Member, now: Timestamp, track: usize, record: Arc<Record>) {
        let point = Point { offset: record.position.offset, time: record.position.time };
        self.tracks[track].read = point;
        match self.tracks[track].source {
            Source::Topic => self.take_topic(member, now, track, point, record),
            Source::Retry => self.take_retry(member, now, track, point, &record),
        }
    }

    fn take_topic(&mut self, member: &mut Member, now: Timestamp, track: usize, point: Point, record: Arc<Record>) {
        if is_expired(&record, now) {
            member.counters.expired += 1;
            return self.pass(member, now);
        }
        if member.config.filter.as_ref().is_some_and(|filter| !filter(&record)) {
            member.counters.filtered += 1;
            return self.pass(member, now);
        }
        let key = Self::key(member, &record);
        member.ahead.events += 1;
        member.ahead.bytes += bytes_of(&record);
        self.idle += 1;
        let mut entry = fresh(track, point, record, key);
        entry.ahead = true;
        let slot = self.insert(member, entry);
        if let Some(key) = key {
            self.keys.push(key, slot.index);
        }
        let urgent = self.slots.get(slot).is_some_and(|e| e.priority() == self.tracks[track].priorities()[0]);
        self.tracks[track].urgent += usize::from(urgent);
        self.tracks[track].ahead.push_back((point, slot));
        #[cfg(feature = "sabotage")]
        if member.sabotaged(crate::Sabotage::CursorAfterHandingOut) {
            self.slots.get_mut(slot).expect("it was just put there").after = 0;
            self.recheck(member, slot);
        }
    }

    /// A record was passed over for good: the cursor says so in time.
    fn pass(&mut self, member: &mut Member, now: Timestamp) {
        if self.stores.pass(now) {
            member.look_at(self.partition, self.stores.lazy_at());
        }
    }

    fn take_retry(&mut self, member: &mut Member, now: Timestamp, track: usize, point: Point, record: &Record) {
        let retried = retried(record);
        let left = retried.from.as_ref().and_then(|from| self.moving(from, retried.failures));
        let slot = match left {
            Some(slot) => self.arrive(member, slot, track, point),
            None => {
                let key = Self::key(member, &retried.record);
                let mut entry = fresh(track, point, retried.record, key);
                entry.failures = retried.failures;
                entry.suspicion = if retried.lost { Suspicion::Consumer } else { Suspicion::None };
                let slot = self.insert(member, entry);
                if let Some(key) = key {
                    self.keys.push_early(key, slot.index);
                }
                slot
            }
        };
        self.tracks[track].waiting.insert(point.offset, slot);
        self.warm(member, now, slot, retried.due);
        self.wait(member, now, slot, retried.due);
    }

    /// The entry that left `from` for the retry channel, if it is still on its way.
    fn moving(&self, from: &Position, failures: u32) -> Option<Slot> {
        let track = self.tracks.iter().position(|track| track.counts(from))?;
        let slot = *self.moves.get(&(track, from.offset))?;
        self.slots.get(slot).filter(|entry| entry.failures == failures).map(|_| slot)
    }

    /// An entry was read where it went: it lies there from now on, and its
    /// key stays held by it.
    fn arrive(&mut self, member: &mut Member, slot: Slot, track: usize, point: Point) -> Slot {
        self.leave_track(member, slot);
        let Some(entry) = self.slots.get_mut(slot) else { return slot };
        if let Standing::Moving { publish: Some(request), .. } = entry.standing {
            member.publishes.remove(&request);
        }
        (entry.track, entry.offset, entry.time) = (track, point.offset, point.time);
        (entry.reserved, entry.after) = (false, NEVER);
        if let Some(key) = entry.key {
            self.keys.lead(key);
        }
        self.stores.dirty();
        slot
    }

    /// Records that wait long are kept in memory within bounds only.
    fn warm(&mut self, member: &mut Member, now: Timestamp, slot: Slot, due: Timestamp) {
        let long = due.since(now) > crate::SHORT_DELAY;
        let full = member.ahead.waiting >= member.config.read_ahead_bytes;
        let Some(entry) = self.slots.get_mut(slot) else { return };
        if long && full {
            entry.record = None;
        }
        member.ahead.waiting += entry.bytes();
    }
}
