//! What one end of a queue has: records that can be lent, and lendings with
//! their leases. Pure: time is handed in.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use handbell_backend::{QueueDelivery, QueueToken, Record};
use handbell_protocol::Lane;
use tokio::time::Instant;

/// How long a record is kept here for a call that may come.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// How long after its end a lease can still be settled or extended, if the
/// record hasn't been given back yet: less than what the broker's own wait is
/// longer.
const LATE: Duration = Duration::from_secs(1);

/// What is known of a delivery of the broker's.
#[derive(Clone, Debug)]
pub(super) struct Lent {
    pub(super) lane: Lane,
    pub(super) sequence: u64,
    /// Where it is acknowledged.
    pub(super) reply: String,
    /// The broker's count of deliveries.
    pub(super) count: u64,
    /// Handbell's own.
    pub(super) attempt: u32,
    pub(super) suspect: bool,
    /// The number of its note, where it has one.
    pub(super) note: Option<u64>,
}

impl Lent {
    fn item(&self) -> u64 {
        self.sequence << 1 | u64::from(self.lane == Lane::Regular)
    }
}

/// A record that has come and isn't lent.
#[derive(Debug)]
struct Ready {
    lent: Lent,
    record: Arc<Record>,
    since: Instant,
}

/// A lending.
#[derive(Debug)]
struct Out {
    lent: Lent,
    lease: u64,
    until: Instant,
    /// When the broker must be told that it is still out.
    progress: Option<Instant>,
    stand: Stand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Out,
    /// Its settlement is on its way.
    Settling,
    /// Settled, but the call that did it has failed otherwise.
    Settled,
}

/// What a settlement finds.
#[derive(Debug)]
pub(super) enum Found {
    /// A lending that runs.
    Runs(Lent),
    /// Settled by an earlier try of the same call.
    Settled,
    /// Its lease has ended.
    Ended,
}

/// One end's state.
#[derive(Debug, Default)]
pub(super) struct State {
    ready: [VecDeque<Ready>; 2],
    /// What is to be given back.
    shelf: VecDeque<Lent>,
    out: HashMap<u64, Out>,
    /// The leases by their ends.
    ends: BTreeSet<(Instant, u64)>,
    last_lease: u64,
    /// How many records the calls that wait would take.
    pub(super) wanted: usize,
    /// How many calls wait.
    pub(super) waiting: usize,
    /// Why nothing can be lent any more.
    pub(super) failed: Option<String>,
}

const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Express => 0,
        Lane::Regular => 1,
    }
}

impl State {
    pub(super) fn add(&mut self, lent: Lent, record: Arc<Record>, now: Instant) {
        self.ready[index(lent.lane)].push_back(Ready { lent, record, since: now });
    }

    /// How many more records are wanted than are here.
    pub(super) fn missing(&self) -> usize {
        let here: usize = self.ready.iter().map(VecDeque::len).sum();
        if self.waiting == 0 { 0 } else { self.wanted.saturating_sub(here) }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.ready.iter().any(|lane| !lane.is_empty())
    }

    /// Lends at most `max` records: express first.
    pub(super) fn lend(&mut self, max: usize, now: Instant, ack_wait: Duration) -> Vec<QueueDelivery> {
        let mut lent = Vec::new();
        while lent.len() < max {
            let Some(ready) = self.ready.iter_mut().find_map(VecDeque::pop_front) else { break };
            lent.push(self.lend_one(ready, now, ack_wait));
        }
        lent
    }

    fn lend_one(&mut self, Ready { lent, record, .. }: Ready, now: Instant, ack_wait: Duration) -> QueueDelivery {
        self.last_lease += 1;
        let (item, lease, until) = (lent.item(), self.last_lease, now + ack_wait);
        let (attempt, suspect) = (lent.attempt, lent.suspect);
        if let Some(before) = self.out.insert(item, Out { lent, lease, until, progress: None, stand: Stand::Out }) {
            self.ends.remove(&(before.until, item));
        }
        self.ends.insert((until, item));
        QueueDelivery { record, attempt, suspect, token: QueueToken { item, lease } }
    }

    /// Finds a lending to settle; its lease doesn't end meanwhile.
    pub(super) fn settle(&mut self, token: &QueueToken, now: Instant) -> Found {
        let Some(out) = self.out.get_mut(&token.item).filter(|out| out.lease == token.lease) else {
            return Found::Ended;
        };
        match out.stand {
            Stand::Settled => Found::Settled,
            Stand::Out if out.until + LATE <= now => Found::Ended,
            Stand::Out | Stand::Settling => {
                out.stand = Stand::Settling;
                self.ends.remove(&(out.until, token.item));
                Found::Runs(out.lent.clone())
            }
        }
    }

    /// A settlement has ended: it worked or didn't.
    pub(super) fn settled(&mut self, token: &QueueToken, worked: bool) {
        if let Some(out) = self.out.get_mut(&token.item).filter(|out| out.lease == token.lease) {
            out.stand = if worked { Stand::Settled } else { Stand::Out };
            // What has worked is kept until then for the same call, made again.
            self.ends.insert((out.until, token.item));
        }
    }

    /// Nobody asks for this lending again.
    pub(super) fn forget(&mut self, token: &QueueToken) {
        if self.out.get(&token.item).is_some_and(|out| out.lease == token.lease)
            && let Some(out) = self.out.remove(&token.item)
        {
            self.ends.remove(&(out.until, token.item));
        }
    }

    /// A lending that runs, to be extended.
    pub(super) fn running(&self, token: &QueueToken, now: Instant) -> Option<&Lent> {
        let out = self.out.get(&token.item)?;
        (out.lease == token.lease && out.stand == Stand::Out && out.until + LATE > now).then_some(&out.lent)
    }

    /// Sets the end of a lease that runs; one that outlives the broker's own
    /// wait is kept alive. Answers where the broker is told of it, and the end
    /// before.
    pub(super) fn extend(
        &mut self,
        token: &QueueToken,
        now: Instant,
        lease: Duration,
        ack_wait: Duration,
    ) -> Option<(String, Instant)> {
        let before = (self.running(token, now)?.reply.clone(), self.out.get(&token.item)?.until);
        // A year is as good as for ever, and can be told.
        self.set_end(token, now + lease.min(Duration::from_secs(365 * 24 * 3_600)));
        let out = self.out.get_mut(&token.item)?;
        out.progress = (lease > ack_wait).then(|| now + ack_wait / 2);
        Some(before)
    }

    /// Sets the end of a lease.
    pub(super) fn set_end(&mut self, token: &QueueToken, until: Instant) {
        if let Some(out) =
            self.out.get_mut(&token.item).filter(|out| out.lease == token.lease && out.stand == Stand::Out)
        {
            self.ends.remove(&(out.until, token.item));
            out.until = until;
            self.ends.insert((out.until, token.item));
        }
    }

    /// The lendings whose leases have ended: they go back to the broker.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Lent> {
        let mut ended = Vec::new();
        while let Some((_, item)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.pop_first();
            if let Some(out) = self.out.remove(&item)
                && out.stand == Stand::Out
            {
                ended.push(out.lent);
            }
        }
        ended
    }

    /// The lendings that the broker must be told of now.
    pub(super) fn progress(&mut self, now: Instant, ack_wait: Duration) -> Vec<String> {
        let due = self.out.values_mut().filter(|out| out.progress.is_some_and(|at| at <= now));
        due.map(|out| {
            out.progress = (out.until > now + ack_wait).then(|| now + ack_wait / 2);
            out.lent.reply.clone()
        })
        .collect()
    }

    /// Takes away what nobody has come for, after a while or at the end, to be
    /// given back.
    pub(super) fn shelve_unwanted(&mut self, now: Instant, all: bool) {
        let keep = !all && self.waiting > 0;
        for lane in &mut self.ready {
            while !keep && lane.front().is_some_and(|ready| all || ready.since + GRACE <= now) {
                self.shelf.extend(lane.pop_front().map(|ready| ready.lent));
            }
        }
    }

    /// The next that is to be given back.
    pub(super) fn shelved(&self) -> Option<Lent> {
        self.shelf.front().cloned()
    }

    /// That one is given back.
    pub(super) fn given_back(&mut self) {
        self.shelf.pop_front();
    }

    /// When there is something to do next.
    pub(super) fn next_event(&self) -> Option<Instant> {
        let end = self.ends.first().map(|(until, _)| *until);
        let progress = self.out.values().filter_map(|out| out.progress).min();
        let ready = self.ready.iter().filter_map(|lane| lane.front()).map(|ready| ready.since + GRACE).min();
        let ready = ready.filter(|_| self.waiting == 0);
        end.into_iter().chain(progress).chain(ready).min()
    }
}
