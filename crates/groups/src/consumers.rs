//! The consumers of the group at this member, and whose turn it is.

use crate::ConsumerId;

/// The most deliveries that a consumer may have unsettled.
const CREDIT_MAX: u32 = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Consumers {
    list: Vec<Consumer>,
    /// Who is looked at first, so that ties go round.
    turn: usize,
    ceiling: usize,
}

#[derive(Debug)]
struct Consumer {
    id: ConsumerId,
    ceiling: u32,
    out: u32,
    /// How many of these are suspected.
    suspects: u32,
    connected: bool,
}

impl Consumer {
    fn free(&self) -> u32 {
        if self.connected { self.ceiling.saturating_sub(self.out) } else { 0 }
    }

    /// Whether its free share of credit is larger.
    fn is_freer(&self, other: &Self) -> bool {
        u64::from(self.free()) * u64::from(other.ceiling) > u64::from(other.free()) * u64::from(self.ceiling)
    }
}

// === impl Consumers ===

impl Consumers {
    pub(crate) fn join(&mut self, id: ConsumerId, credit: u32) {
        self.list.retain(|one| one.id != id);
        self.list.push(Consumer { id, ceiling: credit.min(CREDIT_MAX), out: 0, suspects: 0, connected: true });
        self.add_up();
    }

    pub(crate) fn leave(&mut self, id: ConsumerId) {
        self.list.retain(|one| one.id != id);
        self.add_up();
    }

    pub(crate) fn credit(&mut self, id: ConsumerId, ceiling: u32) {
        self.with(id, |one| one.ceiling = ceiling.min(CREDIT_MAX));
        self.add_up();
    }

    pub(crate) fn connected(&mut self, id: ConsumerId, connected: bool) {
        self.with(id, |one| one.connected = connected);
        self.add_up();
    }

    /// The least loaded: the largest free share of credit, ties in turn.
    /// A suspect goes only to one who has no other suspect.
    pub(crate) fn pick(&mut self, suspect: bool) -> Option<ConsumerId> {
        let count = self.list.len();
        let mut best: Option<usize> = None;
        for step in 0..count {
            let at = (self.turn + step) % count;
            let one = &self.list[at];
            let able = one.free() > 0 && !(suspect && one.suspects > 0);
            if able && best.is_none_or(|best| one.is_freer(&self.list[best])) {
                best = Some(at);
            }
        }
        best.map(|at| {
            self.turn = (at + 1) % count;
            self.list[at].id
        })
    }

    pub(crate) fn hand_out(&mut self, id: ConsumerId, suspect: bool) {
        self.with(id, |one| {
            one.out += 1;
            one.suspects += u32::from(suspect);
        });
    }

    pub(crate) fn hand_back(&mut self, id: ConsumerId, suspect: bool) {
        self.with(id, |one| {
            one.out = one.out.saturating_sub(1);
            one.suspects = one.suspects.saturating_sub(u32::from(suspect));
        });
    }

    /// How many deliveries could be out in all.
    pub(crate) fn ceiling(&self) -> usize {
        self.ceiling
    }

    fn add_up(&mut self) {
        self.ceiling = self.list.iter().filter(|one| one.connected).map(|one| one.ceiling as usize).sum();
    }

    fn with(&mut self, id: ConsumerId, change: impl FnOnce(&mut Consumer)) {
        if let Some(one) = self.list.iter_mut().find(|one| one.id == id) {
            change(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConsumerId = ConsumerId(1);
    const B: ConsumerId = ConsumerId(2);

    fn shared(consumers: &mut Consumers, count: usize) -> [usize; 2] {
        let mut shares = [0, 0];
        for _ in 0..count {
            let id = consumers.pick(false).unwrap();
            consumers.hand_out(id, false);
            shares[usize::from(id == B)] += 1;
        }
        shares
    }

    #[test]
    fn equal_consumers_take_turns() {
        let mut consumers = Consumers::default();
        consumers.join(A, 100);
        consumers.join(B, 100);
        assert_eq!(shared(&mut consumers, 10), [5, 5]);
        consumers.leave(B);
        for _ in 0..5 {
            consumers.hand_back(A, false);
        }
        consumers.join(B, 100);
        let ties: Vec<_> = (0..4)
            .map(|_| {
                let id = consumers.pick(false).unwrap();
                consumers.hand_out(id, false);
                consumers.hand_back(id, false);
                id
            })
            .collect();
        assert!(ties.windows(2).all(|two| two[0] != two[1]), "{ties:?}");
    }

    #[test]
    fn work_is_shared_by_credit_and_never_beyond_it() {
        let mut consumers = Consumers::default();
        consumers.join(A, 30);
        consumers.join(B, 10);
        assert_eq!(shared(&mut consumers, 20), [15, 5]);
        assert_eq!(shared(&mut consumers, 20), [15, 5]);
        assert_eq!(consumers.pick(false), None);
        consumers.credit(B, u32::MAX);
        assert_eq!(shared(&mut consumers, 1_014), [0, 1_014]);
        assert_eq!(consumers.pick(false), None);
    }

    #[test]
    fn one_without_a_socket_is_handed_nothing() {
        let mut consumers = Consumers::default();
        consumers.join(A, 1);
        consumers.connected(A, false);
        assert_eq!((consumers.pick(false), consumers.ceiling()), (None, 0));
        consumers.connected(A, true);
        assert_eq!(consumers.pick(false), Some(A));
    }

    #[test]
    fn a_consumer_has_one_suspect_at_a_time() {
        let mut consumers = Consumers::default();
        consumers.join(A, 10);
        consumers.hand_out(A, true);
        assert_eq!((consumers.pick(true), consumers.pick(false)), (None, Some(A)));
        consumers.hand_back(A, true);
        assert_eq!(consumers.pick(true), Some(A));
    }
}
