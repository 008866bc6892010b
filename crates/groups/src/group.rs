//! The entry point: inputs go to the partition that they are about; then all
//! partitions do what they can, and what may be handed out is.

use std::collections::BTreeMap;

use handbell_backend::{Partition, Position};
use handbell_protocol::{Lane, Timestamp};

use crate::{Config, Counters, Input, Output, member::Member, seat::Seat};

/// One member's part in one group, over all partitions that it holds.
///
/// What it promises, with the schedules (`docs` of the design) that would
/// break it; the simulation checks each sentence:
///
/// - A cursor is durable before anything above its marks is handed out, and
///   the failure of a record before the record is handed out again (23, 36).
/// - At most one delivery per (partition key, lane) can be settled at a time,
///   over all members; what failed holds its key until it comes back, is
///   rejected or dead-lettered (16, 24). Order is that of the partition.
/// - `Settled` is told once a cursor that holds the settlement is durable.
/// - An attempt is raised by nack, expiry, a lost consumer and a lost member;
///   not by release, a clean leave, drain or a planned move (22).
/// - After a member was lost, what it may have had out is handed out one at a
///   time per member, counted and stored first. So a record that kills its
///   process is dead-lettered, and none of its neighbours (23). After a
///   consumer was lost, the same holds per consumer.
/// - A long delay goes through the group's own retry channel: the cursor says
///   so, the retry is written, then the cursor forgets the original. It comes
///   back once, to this group alone (1, 2), its key held meanwhile; a new
///   holder reads that channel to its end before topics.
/// - At most [`crate::UNSETTLED_MAX`] records of a partition are unsettled; other
///   partitions go on, and so does the retry channel (24, 37).
/// - A planned move takes nothing from a consumer: its verdicts count once, by
///   whoever holds the partition then, its keys stay held meanwhile (35).
/// - A member whose store is fenced drops everything of that partition (36).
/// - A log that was made anew or went back is alarmed and read on from what
///   survived (14, 15); what retention removed is told (17, 40).
///
/// Suspects come first; beyond them the highest priority goes first, of what
/// is read ahead and the cursor allows.
#[derive(Debug)]
pub struct Group {
    pub(crate) member: Member,
    pub(crate) seats: BTreeMap<Partition, Seat>,
    /// When it was last called.
    last: Option<Timestamp>,
}

impl Group {
    /// A member that holds nothing yet and has no consumers.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { member: Member::new(config), seats: BTreeMap::new(), last: None }
    }

    /// Takes an input in and appends what is to be done. `now` must not go
    /// back; make it of a monotonic clock. Also does what is due by `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        self.handle_all(now, [input], out);
    }

    /// The same for inputs that came together: all are taken in, in order,
    /// before anything follows from one of them.
    pub fn handle_all(&mut self, now: Timestamp, inputs: impl IntoIterator<Item = Input>, out: &mut Vec<Output>) {
        self.notice_silence(now);
        for input in inputs {
            self.take(now, input, out);
        }
        self.take_due(now, out);
        self.go_on(now, out);
    }

    /// When [`Group::handle`] wants to be called at the latest, with
    /// [`Input::Tick`] if there is nothing else. May be earlier than needed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let half_lease = self.member.config.lease / 2;
        let holds = self.seats.values().any(|seat| seat.held().is_some());
        let beat = self.last.filter(|_| holds).map(|last| last.after(half_lease));
        [self.member.timers.next(), self.member.deliveries.next_end(), beat].into_iter().flatten().min()
    }

    /// How many records of topics may be read now, over all open readings; 0
    /// means: don't read topics. Readings of the retry channel always go on.
    #[must_use]
    pub fn read_budget(&self) -> usize {
        if !self.member.is_crowded(false) {
            return self.member.config.read_ahead_events - self.member.ahead.events;
        }
        self.seats.values().filter_map(Seat::held).map(|window| window.room(&self.member)).sum()
    }

    /// Whether nothing is out, under way or untold. Only then may the group be
    /// dropped while its member lives on: other members take a living member's
    /// word for what is out with it. After [`Input::Leave`] it says when the
    /// member may end without anybody being blamed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.member.deliveries.is_empty() && self.seats.values().all(Seat::is_idle)
    }

    /// What it has counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.member.counters
    }

    /// Up to where nothing of a partition's topics that was read still waits
    /// to be handed out, a first time or because it was given back. `None`:
    /// not held, or nothing read yet.
    #[must_use]
    pub fn handed_out(&self, partition: Partition, lane: Lane) -> Option<Position> {
        self.seats.get(&partition)?.held()?.handed_out(lane)
    }

    /// A member that was silent for a lease may have been taken for lost.
    fn notice_silence(&mut self, now: Timestamp) {
        let silent = self.last.is_some_and(|last| now.since(last) >= self.member.config.lease);
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
        if silent {
            self.seats.values_mut().filter_map(Seat::window).for_each(crate::window::Window::doubt);
        }
    }

    fn go_on(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.dispatch(now, out);
        self.pump(now, out);
        if self.dispatch(now, out) {
            self.pump(now, out);
        }
    }

    fn pump(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for seat in self.seats.values_mut() {
            seat.pump(&mut self.member, now, out);
        }
    }
}
