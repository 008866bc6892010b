//! Giving a partition up: on purpose, or because somebody else has it.

use handbell_backend::CellVersion;

use super::{Window, stores::Batch};
use crate::{
    Cursor, Output, Token,
    deliveries::{Away, Place},
    entry::{Slot, Standing},
    member::Member,
};

/// A partition that is given up on purpose: what is to be stored of it.
#[derive(Debug)]
pub(crate) struct Released {
    pub(crate) cursor: Cursor,
    pub(crate) version: Option<CellVersion>,
    /// What waits for that store.
    pub(crate) batch: Batch,
    /// The partition was held: its claim had been stored.
    pub(crate) claimed: bool,
    /// Stores of the window that were in doubt.
    pub(crate) doubts: Vec<u64>,
}

impl Window {
    /// From now on nothing is handed out.
    pub(crate) fn begin_release(&mut self, out: &mut Vec<Output>) {
        if !self.releasing {
            self.releasing = true;
            self.close_streams(out);
        }
    }

    /// Takes the partition back from this member's hands; `None` while a
    /// store is under way. What is out stays out, with its consumers.
    pub(crate) fn release(&mut self, member: &mut Member) -> Option<Released> {
        if !self.releasing || self.stores.is_busy() {
            return None;
        }
        let number = member.number();
        let cursor = self.snapshot(&member.me().clone(), number, true);
        for (slot, token) in self.out() {
            self.send_away(member, slot, token);
        }
        let batch = self.stores.give_up(member);
        self.forget(member);
        let (version, doubts) = (self.stores.version(), self.stores.doubts());
        Some(Released { cursor, version, batch, claimed: self.is_claimed(), doubts })
    }

    /// Whether the claim was ever stored.
    pub(crate) fn is_claimed(&self) -> bool {
        self.stores.is_claimed()
    }

    /// Somebody else has the partition: nothing of it counts any more.
    pub(crate) fn drop_all(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        self.close_streams(out);
        for (_, token) in self.out() {
            if let Some(delivery) = member.end_delivery(token) {
                out.push(Output::Revoked { consumer: delivery.consumer, token });
            }
        }
        let batch = self.stores.give_up(member);
        self.forget(member);
        batch.gone(member, out);
    }

    fn out(&self) -> Vec<(Slot, Token)> {
        let token = |standing: &Standing| if let Standing::Out(token) = standing { Some(*token) } else { None };
        self.slots.iter().filter_map(|(slot, entry)| token(&entry.standing).map(|token| (slot, token))).collect()
    }

    fn send_away(&mut self, member: &mut Member, slot: Slot, token: Token) {
        let Some(entry) = self.slots.get(slot) else { return };
        let away = Away { position: self.position(entry), kind: entry.kind() };
        if let Some(delivery) = member.deliveries.get_mut(token) {
            delivery.place = Place::Away(Box::new(away));
        }
    }

    /// A delivery that is out here from when this member held the partition
    /// before is this window's again; tells whether the cursor knows it.
    pub(crate) fn readopt(&mut self, member: &mut Member, token: Token, away: &Away, attempt: u32) -> Option<Slot> {
        let me = member.me().clone();
        let slot = self.find_elsewhere(&me, &away.position, attempt)?;
        if let Some(delivery) = member.deliveries.get_mut(token) {
            delivery.place = Place::Window(slot);
        }
        self.slots.get_mut(slot)?.standing = Standing::Out(token);
        Some(slot)
    }

    /// Whether it is time to readopt: once, when the claim is stored.
    pub(crate) fn adopts(&mut self) -> bool {
        self.stores.is_claimed() && !std::mem::replace(&mut self.adopted, self.stores.is_claimed())
    }

    /// What the cursor says is out here, and isn't, was lost.
    pub(crate) fn suspect_unknown(&mut self, member: &mut Member) {
        let me = member.me().clone();
        for slot in self.slots.which(|e| matches!(&e.standing, Standing::Elsewhere(who) if *who == me)) {
            self.suspect(slot);
        }
    }

    /// Nothing of this window stands anywhere else any more.
    fn forget(&mut self, member: &mut Member) {
        for slot in self.slots.which(|_| true) {
            self.unqueue_ahead(member, slot);
            member.clear_suspect(self.partition, slot);
            if let Some(entry) = self.slots.get(slot)
                && self.tracks[entry.track].source == crate::Source::Retry
            {
                member.ahead.waiting = member.ahead.waiting.saturating_sub(entry.bytes());
            }
        }
        let partition = self.partition;
        member.publishes.retain(|_, publish| publish.handle.partition != partition);
    }
}
