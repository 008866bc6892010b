//! Looking at a partition's cursor, and what follows: claiming it, waiting
//! for it, or seeing that it is lost.

use std::time::Duration;

use bytes::Bytes;
use handbell_backend::{CellVersion, Position};
use handbell_protocol::Timestamp;

use super::{Phase, Seat};
use crate::{
    Alarm, Cursor, MemberId, Output, Request, StoreResult,
    away::Place,
    deliveries,
    member::Member,
    window::{Checked, Window},
};

/// How often a partition is looked at that somebody else has.
const LOOK: Duration = Duration::from_millis(250);
/// How often a cursor is looked at that this build can't read.
const UNREADABLE: Duration = Duration::from_secs(5);

impl Seat {
    pub(crate) fn loaded(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        request: Request,
        found: Option<(Bytes, CellVersion)>,
        ends: &[Position],
        out: &mut Vec<Output>,
    ) {
        let expected = match &self.phase {
            Phase::Loading { request: expected } => *expected == request,
            Phase::Held(window) => window.is_checking(request),
            Phase::Editing(editing) => editing.check == Some(request),
            Phase::Free | Phase::Watching { .. } => false,
        };
        if !expected {
            return;
        }
        let decoded = found.map(|(bytes, version)| Cursor::decode(&bytes, self.partition).map(|c| (c, version)));
        match decoded.transpose() {
            Ok(found) => self.look(member, now, found, ends, out),
            Err(why) => {
                out.push(Output::Alarm(Alarm::Unreadable { partition: self.partition, why }));
                self.lose(member, out);
                self.verdicts.place = Place::Unknown { look: now.after(UNREADABLE) };
                self.watch(member, None, now.after(UNREADABLE));
            }
        }
    }

    fn look(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        found: Option<(Cursor, CellVersion)>,
        ends: &[Position],
        out: &mut Vec<Output>,
    ) {
        match &mut self.phase {
            Phase::Held(window) => {
                let found = found.as_ref().map(|(cursor, version)| (cursor, *version));
                let ours = window.checked(member, now, found, out) == Checked::Ours;
                self.lose_unless(ours, member, out);
            }
            Phase::Editing(_) => self.look_at_edit(member, now, found, out),
            Phase::Free | Phase::Loading { .. } | Phase::Watching { .. } => {
                self.decide(member, now, found, ends, out);
            }
        }
    }

    /// Claims the partition, or waits for the release or the end of its
    /// holder's lease.
    fn decide(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        found: Option<(Cursor, CellVersion)>,
        ends: &[Position],
        out: &mut Vec<Output>,
    ) {
        let holder = found.as_ref().filter(|(cursor, _)| !cursor.released).map(|(cursor, _)| cursor.holder.clone());
        let taken = holder.filter(|holder| holder != member.me() && member.is_there(holder));
        if member.wants(self.partition) && taken.is_none() {
            return self.claim(member, now, found, ends, out);
        }
        match (&taken, found) {
            (Some(holder), _) => self.verdicts.with(holder.clone()),
            (None, Some((cursor, version))) if cursor.released => {
                self.verdicts.place = Place::Released { cursor, version, since: now };
            }
            // Its holder is gone: whoever claims it will tell.
            (None, Some(_)) => self.verdicts.place = Place::Unknown { look: now.after(LOOK) },
            (None, None) => {
                for pending in std::mem::take(&mut self.verdicts.pending) {
                    pending.tell_consumer(member, false, out);
                }
            }
        }
        self.watch(member, taken, now.after(LOOK));
    }

    fn watch(&mut self, member: &mut Member, holder: Option<MemberId>, at: Timestamp) {
        let wanted = member.wants(self.partition);
        self.phase = if wanted { Phase::Watching { holder, at } } else { Phase::Free };
        member.look_at(self.partition, at);
    }

    /// A member that gave the partition up said so.
    pub(crate) fn told_released(&mut self, now: Timestamp) {
        if let Phase::Watching { at, .. } = &mut self.phase {
            *at = now;
        }
    }

    fn claim(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        found: Option<(Cursor, CellVersion)>,
        ends: &[Position],
        out: &mut Vec<Output>,
    ) {
        let mut window = Window::claim(member, now, self.partition, found, ends, out);
        window.suspect_gone(member);
        self.phase = Phase::Held(Box::new(window));
    }

    /// The claim is stored: what is still out here from before is this
    /// window's, and what was said about it meanwhile counts now.
    pub(super) fn adopt(&mut self, member: &mut Member, now: Timestamp, out: &mut Vec<Output>) {
        let Phase::Held(window) = &mut self.phase else { return };
        if !window.adopts() {
            return;
        }
        let partition = self.partition;
        for token in member.deliveries.tokens(|delivery| delivery.partition == partition) {
            let Some(delivery) = member.deliveries.get_mut(token) else { continue };
            let deliveries::Place::Away(away) = &delivery.place else { continue };
            let (away, attempt) = (away.clone(), delivery.attempt);
            if window.readopt(member, token, &away, attempt).is_none()
                && let Some(delivery) = member.end_delivery(token)
            {
                out.push(Output::Revoked { consumer: delivery.consumer, token });
            }
        }
        for pending in std::mem::take(&mut self.verdicts.pending) {
            window.settle_pending(member, now, pending, out);
        }
        window.suspect_unknown(member);
        self.verdicts.place = Place::default();
    }

    pub(crate) fn stored(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        request: Request,
        result: StoreResult,
        out: &mut Vec<Output>,
    ) {
        match &mut self.phase {
            Phase::Held(window) => {
                let ours = window.stored(member, now, request, result, out);
                self.lose_unless(ours, member, out);
            }
            Phase::Editing(editing) if editing.store == request => match result {
                StoreResult::Stored(version) => self.edited(member, now, version, out),
                StoreResult::Fenced if editing.is_certain() => self.edit_fenced(member, out),
                StoreResult::Fenced | StoreResult::InDoubt => editing.look(self.partition, member, out),
            },
            _ => {}
        }
    }

    fn lose_unless(&mut self, ours: bool, member: &mut Member, out: &mut Vec<Output>) {
        if !ours {
            member.counters.fenced += 1;
            self.lose(member, out);
        }
    }

    /// Somebody else has the partition.
    fn lose(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        match std::mem::replace(&mut self.phase, Phase::Free) {
            Phase::Held(mut window) => {
                let claimed = window.is_claimed();
                window.drop_all(member, out);
                if claimed {
                    out.push(Output::Released { partition: self.partition });
                }
            }
            editing @ Phase::Editing(_) => {
                self.phase = editing;
                self.edit_fenced(member, out);
            }
            Phase::Free | Phase::Loading { .. } | Phase::Watching { .. } => {}
        }
    }
}
