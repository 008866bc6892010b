//! Reserving: which records the next store puts at or below the marks.

use handbell_protocol::Timestamp;

use super::{Point, Stage, Window, streams::TOPICS_MAX, track::Track};
use crate::{
    Source, UNSETTLED_MAX,
    entry::{Entry, Slot, Standing},
    member::Member,
};

impl Window {
    pub(super) fn wants_reserve(&self, member: &Member) -> bool {
        let hungry = |track: &Track| {
            let [upper, lower] = track.priorities();
            !track.ahead.is_empty() && (track.urgent > 0 && member.hunger(upper) || member.hunger(lower))
        };
        self.reserved < TOPICS_MAX && self.tracks.iter().any(hungry)
    }

    /// Puts what will be wanted at or below the marks.
    pub(super) fn reserve(&mut self, member: &mut Member, now: Timestamp) {
        if self.stage != Stage::Open {
            return;
        }
        self.stores.wish = false;
        for index in 0..self.tracks.len() {
            match self.tracks[index].source {
                Source::Topic => self.reserve_topic(member, index),
                Source::Retry => self.reserve_retry(now, index),
            }
        }
    }

    /// In order, as far as there is demand and room: those of the higher
    /// priority with all that lie before them, then the others. Behind the
    /// last one come those that were passed over.
    fn reserve_topic(&mut self, member: &mut Member, index: usize) {
        let [upper, lower] = self.tracks[index].priorities();
        while self.reserved < TOPICS_MAX {
            let urgent = self.tracks[index].urgent > 0 && member.demand(upper) > 0;
            if !(urgent || member.demand(lower) > 0) {
                break;
            }
            let Some((point, slot)) = self.tracks[index].ahead.pop_front() else { break };
            self.tracks[index].mark = Some(point);
            self.reserve_one(member, index, slot);
        }
        let track = &mut self.tracks[index];
        if track.ahead.is_empty() && track.read.offset > track.mark.map_or(0, |mark| mark.offset) {
            track.mark = Some(track.read);
        }
    }

    fn reserve_one(&mut self, member: &mut Member, index: usize, slot: Slot) {
        let Some(priority) = self.slots.get(slot).map(Entry::priority) else { return };
        let track = &mut self.tracks[index];
        track.urgent -= usize::from(priority == track.priorities()[0]);
        if self.put_below(slot) {
            member.ahead.reserving[priority as usize] += 1;
            self.stores.gathering.reserving[priority as usize] += 1;
        }
    }

    /// Up to the last that is due and for which there is room, with all that
    /// wait before it. Those that wait long are written again at the
    /// channel's end, so that the cursor isn't full of them.
    fn reserve_retry(&mut self, now: Timestamp, index: usize) {
        let room = UNSETTLED_MAX.saturating_sub(self.reserved);
        let is_due = |slot: &Slot| self.slots.get(*slot).is_some_and(|e| matches!(e.standing, Standing::Idle));
        let within = self.tracks[index].waiting.iter().take(room);
        let due = within.filter(|(_, slot)| is_due(slot)).map(|(offset, _)| *offset);
        let Some(last) = due.max() else { return };
        let above = self.tracks[index].waiting.split_off(&(last + 1));
        let below = std::mem::replace(&mut self.tracks[index].waiting, above);
        for (offset, slot) in below {
            self.put_below(slot);
            let time = self.slots.get(slot).map_or_else(Timestamp::default, |entry| entry.time);
            self.tracks[index].mark = Some(Point { offset, time });
        }
        self.write_again(now, index);
    }

    /// Tells whether the entry will be ready with the next store.
    fn put_below(&mut self, slot: Slot) -> bool {
        let next = self.stores.next;
        let Some(entry) = self.slots.get_mut(slot) else { return false };
        entry.reserved = true;
        self.reserved += 1;
        if entry.after > next {
            entry.after = next;
        }
        self.stores.gathering.slots.push(slot);
        entry.key.is_none_or(|key| self.keys.is_free(key, slot.index))
    }
}
