//! How a delivery ends, and what follows for its record.

use std::time::Duration;

use handbell_backend::Position;
use handbell_protocol::Timestamp;

use super::{Stage, Window};
use crate::{
    MemberId, Output, Suspicion, Token, Verdict, Word,
    away::Pending,
    entry::{Slot, Standing},
    member::Member,
    outgoing::printable,
    policy::{Fallout, LOST, REJECTED, TIMEOUT, fallout},
};

/// A verdict, or what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) verdict: Verdict,
    /// The consumer was lost.
    pub(crate) lost: bool,
}

impl From<Verdict> for Fate {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, lost: false }
    }
}

impl Fate {
    /// The lease ended.
    pub(crate) fn timeout() -> Self {
        Self::failed(TIMEOUT, "the lease ended without a verdict", false)
    }

    /// The consumer was lost.
    pub(crate) fn lost() -> Self {
        Self::failed(LOST, "the consumer was lost", true)
    }

    fn failed(class: &str, reason: &str, lost: bool) -> Self {
        Self { verdict: Verdict::Nack { class: class.into(), reason: reason.into(), delay: None }, lost }
    }
}

impl Window {
    /// Applies a fate to an entry that is out, here or elsewhere.
    pub(crate) fn settle(&mut self, member: &mut Member, now: Timestamp, slot: Slot, fate: Fate) {
        self.stores.dirty();
        self.come_back(slot);
        match fate.verdict {
            Verdict::Ack => self.finish(member, slot),
            Verdict::Release => self.recheck(member, slot),
            Verdict::Reject { reason } => {
                self.count(member, slot, false);
                self.die(member, slot, REJECTED, &reason);
            }
            Verdict::Nack { class, reason, delay } => {
                self.count(member, slot, fate.lost);
                self.fall(member, now, slot, &class, &reason, delay, fate.lost);
            }
        }
    }

    /// The same, told to the consumer once it is durable.
    pub(crate) fn settle_told(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        slot: Slot,
        (consumer, token): (crate::ConsumerId, Token),
        fate: Fate,
    ) {
        let ack = fate.verdict == Verdict::Ack;
        self.settle(member, now, slot, fate);
        self.stores.tell(consumer, token, ack);
    }

    /// The word of a member that held the partition before: applied once, and
    /// answered when a store has proved that this member may.
    pub(crate) fn settle_elsewhere(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        from: MemberId,
        (number, position, attempt): (u64, &Position, u32),
        fate: Fate,
    ) {
        let found = self.find_elsewhere(&from, position, attempt);
        if let Some(slot) = found {
            self.settle(member, now, slot, fate);
        }
        self.stores.reply(from, Word::Settled { number, effect: found.is_some() });
    }

    /// A verdict on a delivery of this member from before it held the
    /// partition again.
    pub(crate) fn settle_pending(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        pending: Pending,
        out: &mut Vec<Output>,
    ) {
        let me = member.me().clone();
        let Some(slot) = self.find_elsewhere(&me, &pending.position, pending.attempt) else {
            return pending.tell_consumer(member, false, out);
        };
        match pending.told {
            Some(told) => self.settle_told(member, now, slot, told, pending.fate),
            None => self.settle(member, now, slot, pending.fate),
        }
    }

    /// Whether words of members that held the partition before can be taken:
    /// what they are about is known.
    pub(crate) fn listens(&self) -> bool {
        self.stage != Stage::Claiming && !self.releasing
    }

    pub(super) fn find_elsewhere(&self, from: &MemberId, position: &Position, attempt: u32) -> Option<Slot> {
        let track = self.tracks.iter().position(|track| track.counts(position))?;
        let mut found = self.slots.iter().filter(|(_, entry)| {
            entry.track == track
                && entry.offset == position.offset
                && entry.failures + 1 == attempt
                && matches!(&entry.standing, Standing::Elsewhere(member) if member == from)
        });
        found.next().map(|(slot, _)| slot)
    }

    /// What is out with members that are gone becomes suspect.
    pub(crate) fn suspect_gone(&mut self, member: &mut Member) {
        for slot in self.slots.which(|entry| matches!(entry.standing, Standing::Elsewhere(_))) {
            let Some(entry) = self.slots.get(slot) else { continue };
            if matches!(&entry.standing, Standing::Elsewhere(who) if !member.is_there(who)) {
                self.suspect(slot);
            }
        }
    }

    /// Whoever had it is lost.
    pub(super) fn suspect(&mut self, slot: Slot) {
        if let Some(entry) = self.slots.get_mut(slot) {
            entry.suspicion = entry.suspicion.after_holder();
            self.come_back(slot);
        }
    }

    /// An entry is out no more. The cursor says so before one that was with
    /// another member is handed out here.
    fn come_back(&mut self, slot: Slot) {
        let next = self.stores.next();
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let elsewhere = matches!(entry.standing, Standing::Elsewhere(_));
        if elsewhere || matches!(entry.standing, Standing::Out(_)) {
            entry.standing = Standing::Idle;
            if let Some(key) = entry.key {
                self.keys.free(key);
            }
        }
        if elsewhere {
            entry.after = next;
            self.stores.wake(slot);
        }
    }

    /// A failure counts: stored before the record is handed out again.
    pub(super) fn count(&mut self, member: &mut Member, slot: Slot, lost: bool) {
        let next = self.stores.next();
        member.clear_suspect(self.partition, slot);
        let Some(entry) = self.slots.get_mut(slot) else { return };
        entry.failures = entry.failures.saturating_add(1);
        entry.suspicion = if lost { Suspicion::Consumer } else { Suspicion::None };
        entry.after = next;
        #[cfg(feature = "sabotage")]
        if member.sabotaged(crate::Sabotage::AttemptNotStored) {
            entry.after = 0;
        }
        self.stores.wake(slot);
    }

    #[expect(clippy::too_many_arguments, reason = "a failure is told in one place, by its parts")]
    fn fall(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        slot: Slot,
        class: &str,
        reason: &str,
        delay: Option<Duration>,
        lost: bool,
    ) {
        let random = member.random();
        let Some(entry) = self.slots.get(slot) else { return };
        match fallout(&member.config.retry, entry.kind(), entry.failures, class, delay, random) {
            Fallout::Dropped => {
                member.counters.notifications_dropped += 1;
                self.finish(member, slot);
            }
            Fallout::Dead => self.die(member, slot, class, reason),
            Fallout::Again(wait) => self.come_again(member, now, slot, wait, lost),
        }
    }

    fn come_again(&mut self, member: &mut Member, now: Timestamp, slot: Slot, wait: Duration, lost: bool) {
        #[cfg(feature = "sabotage")]
        let wait = if member.sabotaged(crate::Sabotage::DelayIgnored) { Duration::ZERO } else { wait };
        let due = now.after(wait);
        if wait <= crate::SHORT_DELAY {
            return self.wait(member, now, slot, due);
        }
        let Some(entry) = self.slots.get_mut(slot) else { return };
        entry.standing = Standing::Moving { due, lost, publish: None };
        self.moves.insert((entry.track, entry.offset), slot);
    }

    /// It goes to the dead letter queue once that is stored.
    pub(super) fn die(&mut self, member: &mut Member, slot: Slot, class: &str, reason: &str) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let kind = entry.kind();
        entry.standing = Standing::Dying { class: printable(class, 64), reason: printable(reason, 200), publish: None };
        if kind == handbell_protocol::Kind::Notification {
            member.counters.notifications_dropped += 1;
            self.finish(member, slot);
        }
    }
}

impl Suspicion {
    /// The holder was lost while it may have been out.
    pub(crate) fn after_holder(self) -> Self {
        match self {
            Self::None | Self::Consumer | Self::Holder => Self::Holder,
            Self::Alone | Self::Blamed => Self::Blamed,
        }
    }
}
