//! Records on their way into the retry channel and the dead letter queue.
//!
//! The cursor says first that a record goes there; then it is written, under
//! a dedup key that is the same whoever writes it; then the cursor forgets it.
//! So a holder that is lost between any two of these is followed by one that
//! does the same, and nothing comes twice or not at all.

use std::time::Duration;

use handbell_backend::{PublishError, Stored};
use handbell_protocol::Timestamp;

use super::Window;
use crate::{
    Alarm, Output, Request,
    entry::{Slot, Standing},
    member::{Member, Publish, Timer},
    outgoing::Failed,
};

/// Waiting records at or below the mark, from which on those that wait long
/// are written again.
const WRITTEN_AGAIN_FROM: usize = 256;
/// What waits longer than that is written again.
const LONG: Duration = Duration::from_secs(60);
/// How long a dead letter that was refused for good waits.
const REFUSED: Duration = Duration::from_secs(30);

impl Window {
    /// A store that held an entry is durable: what it waited for happens.
    pub(super) fn go_on(&mut self, member: &mut Member, now: Timestamp, slot: Slot, out: &mut Vec<Output>) {
        let Some(entry) = self.slots.get(slot) else { return };
        if !self.stores.covers(entry.after) {
            return;
        }
        match entry.standing {
            Standing::Moving { publish: None, .. } | Standing::Dying { publish: None, .. } => {
                self.publish(member, slot, out);
            }
            Standing::Waiting(due) if due <= now => self.due(member, now, slot),
            _ => self.recheck(member, slot),
        }
    }

    /// Writes all that should be written, after a claim.
    pub(super) fn publish_all(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        let unwritten = self.slots.which(|entry| {
            matches!(entry.standing, Standing::Moving { publish: None, .. } | Standing::Dying { publish: None, .. })
        });
        unwritten.into_iter().for_each(|slot| self.publish(member, slot, out));
    }

    fn publish(&mut self, member: &mut Member, slot: Slot, out: &mut Vec<Output>) {
        let Some(entry) = self.slots.get(slot) else { return };
        let Some(record) = entry.record.clone() else { return self.cold.push(slot) };
        let place = self.position(entry);
        let failed = Failed { group: &member.config.group, record: &record, place: &place, failures: entry.failures };
        let outgoing = match &entry.standing {
            Standing::Moving { due, lost, .. } => failed.retry(*due, *lost),
            Standing::Dying { class, reason, .. } => failed.dead_letter(class, reason),
            _ => return,
        };
        let request = member.request();
        if let Some(entry) = self.slots.get_mut(slot)
            && let Standing::Moving { publish, .. } | Standing::Dying { publish, .. } = &mut entry.standing
        {
            *publish = Some(request);
        }
        let publish = Publish { handle: self.handle(slot), outgoing: outgoing.clone(), failures: 0 };
        member.publishes.insert(request, publish);
        out.push(Output::Publish { request, outgoing });
    }

    /// A publish of this window has ended.
    pub(crate) fn published(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        (request, publish): (Request, Publish),
        result: Result<Stored, PublishError>,
        out: &mut Vec<Output>,
    ) {
        match result {
            Ok(_) => self.written(member, publish.handle.slot),
            Err(error) if error.is_retryable() => member.publish_again(now, request, publish, None),
            Err(error) => self.refused(member, now, (request, publish), &error, out),
        }
    }

    fn written(&mut self, member: &mut Member, slot: Slot) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        self.stores.dirty();
        match entry.standing {
            Standing::Moving { .. } => {
                member.counters.retries_written += 1;
                entry.standing = Standing::Moved;
            }
            Standing::Dying { .. } => {
                member.counters.dead_lettered += 1;
                self.finish(member, slot);
            }
            _ => {}
        }
    }

    /// A retry that can't be written waits here; a dead letter is tried again.
    fn refused(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        (request, publish): (Request, Publish),
        error: &PublishError,
        out: &mut Vec<Output>,
    ) {
        let slot = publish.handle.slot;
        let Some(entry) = self.slots.get(slot) else { return };
        out.push(Output::Alarm(Alarm::Refused { position: self.position(entry), why: error.to_string() }));
        match entry.standing {
            Standing::Moving { due, .. } => {
                self.moves.remove(&(entry.track, entry.offset));
                self.stores.dirty();
                self.wait(member, now, slot, due);
            }
            _ => member.publish_again(now, request, publish, Some(REFUSED)),
        }
    }

    /// Of the waiting records below the mark, those that wait long go to the
    /// channel's end, when there are many.
    pub(super) fn write_again(&mut self, now: Timestamp, track: usize) {
        let waiting = self
            .slots
            .which(|entry| entry.track == track && entry.reserved && matches!(entry.standing, Standing::Waiting(_)));
        if waiting.len() < WRITTEN_AGAIN_FROM {
            return;
        }
        for slot in waiting {
            self.move_again(now, slot);
        }
    }

    fn move_again(&mut self, now: Timestamp, slot: Slot) {
        let next = self.stores.next();
        let Some(entry) = self.slots.get_mut(slot) else { return };
        let Standing::Waiting(due) = entry.standing else { return };
        if due.since(now) > LONG && now.since(entry.time) > LONG {
            let lost = entry.suspicion == crate::Suspicion::Consumer;
            entry.standing = Standing::Moving { due, lost, publish: None };
            entry.after = next;
            self.moves.insert((entry.track, entry.offset), slot);
            self.stores.wake(slot);
            if self.slots.get(slot).is_some_and(|entry| entry.record.is_none()) {
                self.cold.push(slot);
            }
        }
    }
}

impl Member {
    /// Tries a publish again later, each time later.
    fn publish_again(&mut self, now: Timestamp, request: Request, mut publish: Publish, wait: Option<Duration>) {
        let grown = Duration::from_millis(50).saturating_mul(1 << publish.failures.min(6));
        publish.failures += 1;
        self.publishes.insert(request, publish);
        self.timers.set(now.after(wait.unwrap_or(grown)), Timer::Publish(request));
    }
}
