//! The cursor's stores: one under way at a time, everything that happens
//! meanwhile goes into the next.
//!
//! A store reserves ahead: what it puts at or below the mark may be handed out
//! when it is durable, so that nobody waits for a store of his own.

use handbell_backend::CellVersion;
use handbell_protocol::Timestamp;

use super::{Stage, Window, stores::Flight};
use crate::{Cursor, Output, Request, StoreResult, member::Member};

/// What a check of a store in doubt has shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// The partition is still this member's.
    Ours,
    /// Somebody else's.
    Lost,
}

impl Window {
    pub(super) fn start_store(&mut self, member: &mut Member, now: Timestamp, out: &mut Vec<Output>) {
        let lazy = self.stores.passed.is_some() && self.stores.lazy_at() <= now;
        let reserving = self.stage == Stage::Open && (self.stores.wish || self.wants_reserve(member));
        let wanted = self.stores.dirty || lazy || reserving;
        if self.stores.is_busy() || self.releasing || !wanted || now < self.stores.resume {
            return;
        }
        self.reserve(member, now);
        self.flush_sabotage(member, out);
        let (number, request, cursor) = (self.stores.next, member.request(), member.number());
        let value = self.snapshot(member.me(), cursor, false).encode();
        let stores = &mut self.stores;
        (stores.dirty, stores.passed) = (false, None);
        stores.next += 1;
        stores.flight = Some(Flight { request, number, cursor, batch: std::mem::take(&mut stores.gathering) });
        out.push(Output::Store { request, partition: self.partition, value, expected: stores.version });
    }

    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_self, reason = "does something in test builds only")]
    fn flush_sabotage(&mut self, _member: &mut Member, _out: &mut Vec<Output>) {}

    #[cfg(feature = "sabotage")]
    fn flush_sabotage(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        if member.sabotaged(crate::Sabotage::SettledEarly) {
            let told = std::mem::take(&mut self.stores.gathering.told);
            out.extend(told.into_iter().map(|(consumer, token)| Output::Settled { consumer, token }));
        }
    }

    /// A store has ended. `false`: the partition is somebody else's.
    pub(crate) fn stored(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        request: Request,
        result: StoreResult,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(flight) = self.stores.flight.take_if(|flight| flight.request == request) else { return true };
        match result {
            StoreResult::Stored(version) => self.landed(member, now, flight, version, out),
            StoreResult::InDoubt => self.check(member, flight, out),
            StoreResult::Fenced if self.stores.doubts.is_empty() => {
                self.stores.flight = Some(flight);
                return self.fenced_sabotage(member, now, out);
            }
            StoreResult::Fenced => self.check(member, flight, out),
        }
        true
    }

    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_self, reason = "does something in test builds only")]
    fn fenced_sabotage(&mut self, _member: &mut Member, _now: Timestamp, _out: &mut Vec<Output>) -> bool {
        false
    }

    #[cfg(feature = "sabotage")]
    fn fenced_sabotage(&mut self, member: &mut Member, now: Timestamp, out: &mut Vec<Output>) -> bool {
        let ignored = member.sabotaged(crate::Sabotage::FenceIgnored);
        if ignored && let (Some(flight), Some(version)) = (self.stores.flight.take(), self.stores.version) {
            self.landed(member, now, flight, version, out);
        }
        ignored
    }

    fn landed(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        flight: Flight,
        version: CellVersion,
        out: &mut Vec<Output>,
    ) {
        let was_proved = self.stores.covers(0);
        let claimed = !self.stores.is_claimed();
        self.stores.version = Some(version);
        self.stores.durable = flight.number;
        self.stores.doubts.clear();
        member.reserved(flight.batch.reserving);
        if claimed {
            out.push(Output::Held { partition: self.partition });
        }
        let mut batch = flight.batch;
        for slot in std::mem::take(&mut batch.slots) {
            self.go_on(member, now, slot, out);
        }
        batch.settled(member, out);
        if !was_proved && self.stores.covers(0) {
            self.recheck_all(member);
        }
    }

    /// Loads the cell to see whether the store has happened.
    fn check(&mut self, member: &mut Member, flight: Flight, out: &mut Vec<Output>) {
        let request = member.request();
        self.stores.remember(flight.cursor);
        self.stores.flight = Some(flight);
        self.stores.checking = Some(request);
        out.push(Output::Load { request, partition: self.partition });
    }

    pub(crate) fn is_checking(&self, request: Request) -> bool {
        self.stores.checking == Some(request)
    }

    /// The cell after a store in doubt. One of ours may have happened; then
    /// it is the version from which to go on. If it was the last, it is done;
    /// otherwise what it held is stored again with the next.
    pub(crate) fn checked(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        found: Option<(&Cursor, CellVersion)>,
        out: &mut Vec<Output>,
    ) -> Checked {
        self.stores.checking = None;
        let version = found.map(|(_, version)| version);
        let ours = found.is_some_and(|(cursor, _)| {
            cursor.holder == *member.me() && !cursor.released && self.stores.doubts.contains(&cursor.number)
        });
        if !ours && version != self.stores.version {
            return Checked::Lost;
        }
        let Some(flight) = self.stores.flight.take() else { return Checked::Ours };
        match found {
            Some((cursor, version)) if ours && cursor.number == flight.cursor => {
                self.landed(member, now, flight, version, out);
            }
            _ => self.again(member, now, version, flight),
        }
        Checked::Ours
    }

    /// What waited for a store that didn't happen waits for the next.
    fn again(&mut self, member: &mut Member, now: Timestamp, version: Option<CellVersion>, flight: Flight) {
        self.stores.version = version;
        self.stores.resume = now.after(self.stores.backoff());
        member.look_at(self.partition, self.stores.resume);
        let next = self.stores.next;
        for slot in &flight.batch.slots {
            if let Some(entry) = self.slots.get_mut(*slot)
                && entry.after == flight.number
            {
                entry.after = next;
            }
        }
        let later = std::mem::replace(&mut self.stores.gathering, flight.batch);
        self.stores.gathering.append(later);
        self.stores.dirty = true;
    }
}
