//! A fan-out's decisions: what is handed out, and when it is level.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_backend::{Record, Trimmed};
use handbell_protocol::{
    Lane, Timestamp,
    frame::{Order, RetryPolicy},
};

use super::window::{Waiting, Window};
use crate::{
    ConsumerEvent, Delivered, FanoutSpec, Mailbox, MemberOptions, Token,
    counts::{Counters, count},
    identity::{Shares, idempotency_key},
    lease::Lease,
    lending::is_expired,
    post::{Outbox, Post},
};

/// One fan-out; pure. Events for its consumer are in `outbox`.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) post: Post,
    pub(super) window: Window,
    pub(super) out: HashMap<Token, Out>,
    pub(super) ends: BTreeSet<(Instant, Token)>,
    pub(super) lost: Option<Instant>,
    pub(super) draining: bool,
    pub(super) ceiling: u32,
    pub(super) retry: RetryPolicy,
    pub(super) ack_wait: Duration,
    pub(super) shares: Shares,
    pub(super) counters: Arc<Counters>,
    pub(super) outbox: Outbox,
    receiver: String,
    options: MemberOptions,
    next_seq: u64,
    level: Level,
}

/// An event that the consumer has.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) event: Waiting,
    pub(super) lease: Lease,
    pub(super) end: Instant,
}

/// How far it is from level.
#[derive(Debug)]
enum Level {
    /// Lanes that have not told that they are.
    Reading(Vec<Lane>),
    /// Both are; so many events from before wait for their first delivery.
    HandingOut { below: u64, left: usize },
    /// It was told, or nobody wants to know.
    Done,
}

// === impl Core ===

impl Core {
    pub(super) fn new(spec: &FanoutSpec, post: Post, options: MemberOptions, counters: Arc<Counters>) -> Self {
        Self {
            post,
            window: Window::new(spec.order == Order::Key),
            out: HashMap::new(),
            ends: BTreeSet::new(),
            lost: None,
            draining: false,
            ceiling: 0,
            retry: spec.retry.clone(),
            ack_wait: spec.ack_wait,
            shares: Shares::seeded(),
            counters,
            outbox: Outbox::default(),
            receiver: spec.receiver.clone(),
            options,
            next_seq: 0,
            level: if spec.level { Level::Reading(Lane::ALL.into()) } else { Level::Done },
        }
    }

    /// How many more events may be read.
    pub(super) fn room(&self) -> usize {
        let (events, bytes) = self.window.size();
        if self.draining || bytes >= self.options.read_ahead_bytes {
            return 0;
        }
        self.options.read_ahead_events.saturating_sub(events)
    }

    /// Takes in what was read and has passed the filter.
    pub(super) fn read(&mut self, records: impl IntoIterator<Item = Arc<Record>>) {
        for record in records {
            let seq = self.next_seq;
            self.next_seq += 1;
            self.window.read(Waiting { record, attempt: 1, seq, fresh: true });
        }
    }

    pub(super) fn gap(&mut self, trimmed: Trimmed) {
        self.outbox.add(&self.post, ConsumerEvent::Gap(trimmed));
    }

    /// A lane has been read as far as it reached when it was opened.
    pub(super) fn lane_is_level(&mut self, lane: Lane) {
        let Level::Reading(lanes) = &mut self.level else { return };
        lanes.retain(|other| *other != lane);
        if lanes.is_empty() {
            let left = self.window.fresh();
            self.level = Level::HandingOut { below: self.next_seq, left };
            self.tell_level();
        }
    }

    /// Does what time has brought, and hands out what there is credit for.
    pub(super) fn advance(&mut self, now: Instant, wall: Timestamp) {
        self.expire(now);
        self.window.tick(now);
        let most = self.ceiling.min(Mailbox::MAX_OUTSTANDING) as usize;
        while self.out.len() < most && self.lost.is_none() && !self.draining {
            let Some(mut event) = self.window.pop() else { break };
            self.first_delivery(&mut event);
            if is_expired(&event.record, wall) {
                count(&self.counters.expired);
                self.window.release(&event.record);
            } else {
                self.hand_out(event, now);
            }
            self.tell_level();
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let end = self.ends.first().map(|(end, _)| *end);
        [end, self.window.next_due()].into_iter().flatten().min()
    }

    fn hand_out(&mut self, event: Waiting, now: Instant) {
        let token = crate::identity::fresh_token();
        let delivered = Delivered {
            token,
            record: Arc::clone(&event.record),
            attempt: event.attempt,
            idempotency_key: idempotency_key(&event.record.envelope.event.id, &self.receiver),
        };
        self.outbox.add(&self.post, ConsumerEvent::Deliver(delivered));
        let lease = Lease::new(now, self.options.max_processing);
        let end = lease.end(None, self.ack_wait);
        self.ends.insert((end, token));
        self.out.insert(token, Out { event, lease, end });
    }

    fn first_delivery(&mut self, event: &mut Waiting) {
        let fresh = std::mem::take(&mut event.fresh);
        if let Level::HandingOut { below, left } = &mut self.level
            && fresh
            && event.seq < *below
        {
            *left -= 1;
        }
    }

    fn tell_level(&mut self) {
        if matches!(self.level, Level::HandingOut { left: 0, .. }) {
            self.level = Level::Done;
            self.outbox.add(&self.post, ConsumerEvent::Level);
        }
    }
}
