//! The desk's state: consumers, sources, and what is lent from which to whom.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_backend::{QueueToken, Record, Settlement};
use handbell_protocol::{AgentName, frame::RetryPolicy};

use crate::{
    Call, ConsumerEvent, DeadLetter, Token,
    counts::Counters,
    identity::Shares,
    lease::Lease,
    post::{Outbox, Post},
};

/// One of the desk's consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SeatId(pub(crate) u64);

/// One of the queues that the desk lends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceId(pub(crate) u64);

/// How the records of a source are handled.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Whom idempotency keys and dead letters name.
    pub(crate) receiver: Arc<str>,
    pub(crate) retry: RetryPolicy,
    pub(crate) ack_wait: Duration,
    pub(crate) kind: Kind,
}

/// What a source's records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Work: uses credit, is tried again by the policy, may become a dead letter.
    Work,
    /// Answers to an agent's calls: use no credit, come again until they
    /// expire, and prefer the session that called.
    Replies(AgentName),
}

/// Lends records; pure. What it wants done is in `outbox`, in each source's
/// settlements, and in `woken`.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) seats: BTreeMap<SeatId, Seat>,
    pub(super) sources: BTreeMap<SourceId, Source>,
    pub(super) loans: HashMap<Token, Loan>,
    /// When each loan ends.
    pub(super) ends: BTreeSet<(Instant, Token)>,
    /// When the loans of a source are renewed with the backend.
    pub(super) renewals: BTreeSet<(Instant, SourceId)>,
    pub(super) max_processing: Duration,
    pub(super) draining: bool,
    pub(super) shares: Shares,
    pub(super) outbox: Outbox,
    /// Sources whose puller should look again.
    pub(super) woken: BTreeSet<SourceId>,
    /// Sources that have something to settle.
    pub(super) dirty: BTreeSet<SourceId>,
    pub(super) turn: u64,
    pub(super) counters: Arc<Counters>,
}

/// A consumer.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) post: Post,
    pub(super) sources: BTreeSet<SourceId>,
    pub(super) ceiling: u32,
    /// Unsettled work and unsettled answers.
    pub(super) work: u32,
    pub(super) replies: u32,
    /// When its connection was lost.
    pub(super) lost: Option<Instant>,
    /// The session's producer, for answers.
    pub(super) producer: Option<String>,
    /// When it was last given something, in turns.
    pub(super) turn: u64,
    /// It waits to be told that it is level.
    pub(super) level: bool,
}

/// A queue's end.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) rules: Rules,
    pub(super) seats: BTreeSet<SeatId>,
    pub(super) loans: BTreeSet<Token>,
    pub(super) settling: Vec<Settling>,
    /// Settlements that the shell has taken and not yet answered.
    pub(super) in_flight: usize,
    /// Its puller is at work, and may come with records.
    pub(super) pulling: bool,
    /// Records may be suspects: take one at a time.
    pub(super) careful: bool,
    pub(super) suspect: Option<Token>,
    pub(super) paused_until: Option<Instant>,
    /// Items that were handed back because they are for somebody elsewhere.
    pub(super) refused: BTreeSet<u64>,
}

/// A record that a consumer has.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) source: SourceId,
    pub(super) seat: SeatId,
    pub(super) item: QueueToken,
    pub(super) record: Arc<Record>,
    pub(super) attempt: u32,
    pub(super) lease: Lease,
    /// When the request that it is ends, answered or not.
    pub(super) deadline: Option<Instant>,
    /// As it stands in `ends`.
    pub(super) end: Instant,
}

/// Leases to be renewed with the backend.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) source: SourceId,
    pub(crate) ack_wait: Duration,
    pub(crate) items: Vec<(Token, QueueToken)>,
}

/// A settlement to be made.
#[derive(Debug)]
pub(crate) struct Settling {
    pub(crate) item: QueueToken,
    pub(crate) settlement: Settlement,
    /// To be stored before it is settled.
    pub(crate) before: Option<Before>,
    /// Who waits to hear of it.
    pub(crate) answer: Option<(Post, Token)>,
}

/// What is stored before a record is settled for good.
#[derive(Debug)]
pub(crate) enum Before {
    /// The record as a dead letter.
    Buried(Arc<Record>, DeadLetter),
    /// What the caller of an unanswered request is told.
    Unanswered(Arc<Record>, Call),
}

// === impl Desk ===

impl Desk {
    pub(crate) fn new(max_processing: Duration, shares: Shares, counters: Arc<Counters>) -> Self {
        Self {
            seats: BTreeMap::new(),
            sources: BTreeMap::new(),
            loans: HashMap::new(),
            ends: BTreeSet::new(),
            renewals: BTreeSet::new(),
            max_processing,
            draining: false,
            shares,
            outbox: Outbox::default(),
            woken: BTreeSet::new(),
            dirty: BTreeSet::new(),
            turn: 0,
            counters,
        }
    }

    /// Opens a source. Its first records may be suspects of an earlier crash.
    pub(crate) fn open(&mut self, id: SourceId, rules: Rules) {
        let source = Source {
            rules,
            seats: BTreeSet::new(),
            loans: BTreeSet::new(),
            settling: Vec::new(),
            in_flight: 0,
            pulling: true,
            careful: true,
            suspect: None,
            paused_until: None,
            refused: BTreeSet::new(),
        };
        self.sources.insert(id, source);
    }

    /// Seats a consumer of some open sources.
    pub(crate) fn seat(&mut self, id: SeatId, post: Post, producer: Option<String>, sources: &[SourceId], level: bool) {
        for source in sources {
            if let Some(open) = self.sources.get_mut(source) {
                open.seats.insert(id);
            }
        }
        let seat = Seat {
            post,
            sources: sources.iter().copied().collect(),
            ceiling: 0,
            work: 0,
            replies: 0,
            lost: None,
            producer,
            turn: 0,
            level,
        };
        self.seats.insert(id, seat);
    }

    /// No new work is handed out from now on; answers are, so that what was
    /// begun can be finished.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.woken.extend(self.sources.keys());
    }

    /// Nothing waits in the queue now: whoever asked is told once.
    pub(crate) fn level(&mut self, source: SourceId) {
        let Some(open) = self.sources.get(&source) else { return };
        for seat in &open.seats {
            if let Some(seat) = self.seats.get_mut(seat).filter(|seat| seat.level) {
                seat.level = false;
                self.outbox.add(&seat.post, ConsumerEvent::Level);
            }
        }
    }

    /// Whether somebody wants to know when the source is level.
    pub(crate) fn wants_level(&self, source: SourceId) -> bool {
        let seats = self.sources.get(&source).map(|open| &open.seats);
        seats.into_iter().flatten().any(|seat| self.seats.get(seat).is_some_and(|seat| seat.level))
    }

    /// Whether nobody sits at a source and it owes nothing.
    pub(crate) fn is_done(&self, source: SourceId) -> bool {
        self.sources.get(&source).is_none_or(|open| {
            !open.pulling
                && open.seats.is_empty()
                && open.loans.is_empty()
                && open.settling.is_empty()
                && open.in_flight == 0
        })
    }

    pub(crate) fn puller_is_done(&mut self, source: SourceId) {
        if let Some(open) = self.sources.get_mut(&source) {
            open.pulling = false;
        }
    }

    pub(crate) fn close(&mut self, source: SourceId) {
        self.sources.remove(&source);
    }

    /// Whether nobody sits at it any more.
    pub(crate) fn is_deserted(&self, source: SourceId) -> bool {
        self.sources.get(&source).is_none_or(|open| open.seats.is_empty())
    }

    /// When [`Desk::tick`] or [`Desk::renewals`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let end = self.ends.first().map(|(end, _)| *end);
        let renewal = self.renewals.first().map(|(at, _)| *at);
        [end, renewal].into_iter().flatten().min()
    }

    /// The oldest settlements that wait; the shell answers each by [`Desk::settled`].
    pub(crate) fn take_settling(&mut self, source: SourceId, max: usize) -> Vec<Settling> {
        let Some(open) = self.sources.get_mut(&source) else { return Vec::new() };
        let count = open.settling.len().min(max);
        open.in_flight += count;
        open.settling.drain(..count).collect()
    }

    /// So many settlements are answered.
    pub(crate) fn settled(&mut self, source: SourceId, count: usize) {
        if let Some(open) = self.sources.get_mut(&source) {
            open.in_flight -= count;
            self.woken.insert(source);
        }
    }

    pub(crate) fn settling_is_empty(&self, source: SourceId) -> bool {
        self.sources.get(&source).is_none_or(|open| open.settling.is_empty())
    }

    pub(super) fn settle_later(&mut self, source: SourceId, settling: Settling) {
        if let Some(open) = self.sources.get_mut(&source) {
            open.settling.push(settling);
            self.dirty.insert(source);
        }
    }
}
