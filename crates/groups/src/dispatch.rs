//! Handing out what may be handed out: suspects whose turn it is, then by
//! priority, to the least loaded consumer.

use handbell_protocol::Timestamp;

use crate::{ConsumerId, Group, Output, Suspicion, entry::Handle, seat::Seat};

impl Group {
    /// Hands out as much as credit allows; tells whether anything has changed.
    pub(crate) fn dispatch(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        if self.member.draining {
            return false;
        }
        let suspects = self.dispatch_turn(now, out) | self.dispatch_suspects(now, out);
        let lonely = self.dispatch_lonely(now, out);
        self.dispatch_plain(now, out) | lonely | suspects
    }

    fn dispatch_turn(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        let mut changed = false;
        while self.member.ready.has_turn() {
            let Some(consumer) = self.member.consumers.pick(true) else { break };
            let handle = self.member.ready.pop_turn();
            changed |= handle.is_some_and(|handle| self.hand_out(now, handle, consumer, out));
        }
        changed
    }

    /// One suspect of a lost holder at a time is counted or out.
    fn dispatch_suspects(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        let mut changed = false;
        while self.member.ready.has_suspects() && self.may_suspect() {
            let Some(consumer) = self.member.consumers.pick(true) else { break };
            let Some(handle) = self.member.ready.pop_suspect() else { break };
            changed |= self.take_turn(now, handle, consumer, out);
        }
        changed
    }

    fn may_suspect(&self) -> bool {
        #[cfg(feature = "sabotage")]
        if self.member.sabotaged(crate::Sabotage::SuspectsAtOnce) {
            return true;
        }
        self.member.suspect.is_none() && !self.member.deliveries.has_suspect()
    }

    fn take_turn(&mut self, now: Timestamp, handle: Handle, consumer: ConsumerId, out: &mut Vec<Output>) -> bool {
        let Some(window) = self.seats.get_mut(&handle.partition).and_then(Seat::window) else { return false };
        if !window.unqueue(&mut self.member, now, handle.slot) {
            return false;
        }
        if window.suspicion(handle.slot) == Suspicion::Alone {
            self.member.suspect = Some(handle);
            window.hand_out(&mut self.member, now, handle.slot, consumer, out);
        } else if window.raise(&mut self.member, handle.slot) {
            self.member.suspect = Some(handle);
        }
        true
    }

    fn dispatch_lonely(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        let mut changed = false;
        while self.member.ready.has_lonely() {
            let Some(consumer) = self.member.consumers.pick(true) else { break };
            let handle = self.member.ready.pop_lonely();
            changed |= handle.is_some_and(|handle| self.hand_out(now, handle, consumer, out));
        }
        changed
    }

    fn dispatch_plain(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        let mut changed = false;
        while self.member.ready.has_plain() {
            let Some(consumer) = self.member.consumers.pick(false) else { break };
            let handle = self.member.ready.pop();
            changed |= handle.is_some_and(|handle| self.hand_out(now, handle, consumer, out));
        }
        changed
    }

    /// A name may be stale by now.
    fn hand_out(&mut self, now: Timestamp, handle: Handle, consumer: ConsumerId, out: &mut Vec<Output>) -> bool {
        let Some(window) = self.seats.get_mut(&handle.partition).and_then(Seat::window) else { return false };
        let may = window.unqueue(&mut self.member, now, handle.slot);
        if may {
            window.hand_out(&mut self.member, now, handle.slot, consumer, out);
        }
        may
    }
}
