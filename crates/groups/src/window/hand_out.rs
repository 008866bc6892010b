//! Handing records out.

use handbell_protocol::Timestamp;

use super::{Window, track::Point};
use crate::{
    ConsumerId, Output, Suspicion,
    entry::{Slot, Standing},
    member::Member,
    outgoing::is_expired,
    policy::{Fallout, LOST, fallout, wait},
};

impl Window {
    /// Takes an entry out of the queue of those that may be handed out; tells
    /// whether it still may.
    pub(crate) fn unqueue(&mut self, member: &mut Member, now: Timestamp, slot: Slot) -> bool {
        let Some(entry) = self.slots.get_mut(slot) else { return false };
        entry.queued = false;
        let Some(entry) = self.slots.get(slot) else { return false };
        if !self.may_go(slot, entry) {
            return false;
        }
        if entry.record.as_ref().is_some_and(|record| is_expired(record, now)) {
            member.counters.expired += 1;
            self.stores.dirty();
            self.finish(member, slot);
            return false;
        }
        true
    }

    pub(crate) fn suspicion(&self, slot: Slot) -> Suspicion {
        self.slots.get(slot).map_or(Suspicion::None, |entry| entry.suspicion)
    }

    /// Hands a record to a consumer.
    pub(crate) fn hand_out(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        slot: Slot,
        consumer: ConsumerId,
        out: &mut Vec<Output>,
    ) {
        self.unqueue_ahead(member, slot);
        let partition = self.partition;
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let Some(record) = entry.record.clone() else { return };
        let (token, attempt, suspicion) = (member.token(), entry.failures + 1, entry.suspicion);
        entry.standing = Standing::Out(token);
        self.tracks[entry.track].hand(Point { offset: entry.offset, time: entry.time });
        if let Some(key) = entry.key {
            self.keys.hold(key);
        }
        member.counters.delivered += 1;
        member.counters.redelivered += u64::from(attempt > 1);
        member.consumers.hand_out(consumer, suspicion != Suspicion::None);
        let lease = (now, now.after(member.config.max_processing));
        member.deliveries.hand_out(token, consumer, partition, slot, attempt, suspicion, lease);
        out.push(Output::Deliver { consumer, token, record, attempt });
    }

    /// It is a suspect's turn: its holder's loss is counted, and stored before
    /// it is handed out alone. Tells whether it will be.
    ///
    /// What was out alone when its holder was lost has used up a delivery.
    /// What may not have been out at all gets one more alone, whatever the
    /// policy says: nobody is given up for a neighbour.
    pub(crate) fn raise(&mut self, member: &mut Member, slot: Slot) -> bool {
        let Some(entry) = self.slots.get(slot) else { return false };
        let blamed = entry.suspicion == Suspicion::Blamed;
        self.count(member, slot, false);
        let Some(entry) = self.slots.get_mut(slot) else { return false };
        entry.suspicion = Suspicion::Alone;
        match fallout(&member.config.retry, entry.kind(), entry.failures, LOST, None, 0.0) {
            Fallout::Dropped if blamed => {
                member.counters.notifications_dropped += 1;
                self.finish(member, slot);
                false
            }
            Fallout::Dead if blamed => {
                self.die(member, slot, LOST, "its holder was lost each time that it was out");
                false
            }
            _ => true,
        }
    }

    /// How long a suspect waits after a takeover: as after any failure, but
    /// never so long that it would have to leave the window.
    pub(super) fn wait_of_suspect(member: &Member, failures: u32) -> std::time::Duration {
        wait(&member.config.retry, failures.saturating_add(1), 0.0).min(crate::SHORT_DELAY)
    }
}
