//! What has been pulled, and who gets it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_backend::{QueueDelivery, QueueToken, Record, Settlement, header};
use handbell_protocol::{AgentName, Timestamp};

use super::{
    demand::SUSPECT_QUIET,
    desk::{Desk, Kind, Loan, Rules, SeatId, Settling, SourceId},
};
use crate::{
    Call, ConsumerEvent, DeadLetter, Delivered, MemberId, Token, View, identity::idempotency_key, inbox::CALLER_MEMBER,
    lease::Lease,
};

/// How long an answer waits for the member of its caller before it is offered again.
const REPLY_DELAY: Duration = Duration::from_millis(20);

/// How many records that were handed back a queue remembers.
const MOST_REFUSED: usize = 1_024;

/// How long a second suspect waits, and how long until the queue is looked at
/// again while the first is out.
const SUSPECT_DELAY: Duration = Duration::from_secs(1);
const SUSPECT_LOOK: Duration = Duration::from_millis(250);

/// The moment and the surroundings of a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) now: Instant,
    pub(crate) wall: Timestamp,
    pub(crate) view: &'a View,
    pub(crate) member: &'a MemberId,
}

impl Desk {
    /// Takes what a source's pull has lent; `passes` tells of each whether
    /// the group's filter lets it through.
    pub(crate) fn pulled(&mut self, id: SourceId, deliveries: Vec<(QueueDelivery, bool)>, scene: Scene<'_>) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        let rules = source.rules.clone();
        let suspects = match rules.kind {
            Kind::Work => deliveries.iter().filter(|(delivery, _)| delivery.suspect).count(),
            Kind::Replies(_) => 0,
        };
        source.careful = suspects > 0;
        for (delivery, passes) in deliveries {
            if !passes {
                self.settle_later(id, Settling::silent(delivery.token, Settlement::Ack));
            } else if is_expired(&delivery.record, scene.wall) {
                self.expire(id, delivery.token, delivery.record);
            } else if rules.kind == Kind::Work && delivery.suspect {
                self.suspect(id, &rules, delivery, suspects > 1, scene);
            } else {
                self.offer(id, &rules, delivery, scene);
            }
        }
    }

    /// A record that was out when its holder was lost: alone, or not at all
    /// if that was once too often.
    fn suspect(&mut self, id: SourceId, rules: &Rules, delivery: QueueDelivery, crowd: bool, scene: Scene<'_>) {
        let failed = delivery.attempt.saturating_sub(1);
        if failed > 0 && !rules.retry.retries("lost", failed) {
            return self.lost_too_often(id, delivery, failed);
        }
        if crowd {
            return self.settle_later(id, Settling::silent(delivery.token, hand_back(Duration::ZERO)));
        }
        let Some(source) = self.sources.get_mut(&id) else { return };
        if source.suspect.is_some() {
            source.paused_until = Some(scene.now + SUSPECT_LOOK);
            return self.settle_later(id, Settling::silent(delivery.token, hand_back(SUSPECT_DELAY)));
        }
        let token = self.offer(id, rules, delivery, scene);
        if let Some(source) = self.sources.get_mut(&id).filter(|_| token.is_some()) {
            source.suspect = token;
            source.paused_until = Some(scene.now + SUSPECT_QUIET);
        }
    }

    fn lost_too_often(&mut self, id: SourceId, delivery: QueueDelivery, attempts: u32) {
        let reason = "its consumer's process was lost at each delivery".to_owned();
        let letter = DeadLetter { class: "lost".into(), reason, attempts };
        self.give_up(id, delivery.token, delivery.record, letter, None);
    }

    /// Hands it to whoever should have it, or hands it back.
    fn offer(&mut self, id: SourceId, rules: &Rules, delivery: QueueDelivery, scene: Scene<'_>) -> Option<Token> {
        let choice = match &rules.kind {
            Kind::Work if self.draining => Err(Duration::ZERO),
            Kind::Work => self.least_loaded(id, &rules.kind).ok_or(Duration::ZERO),
            Kind::Replies(agent) => self.for_reply(id, agent, &delivery.record, scene),
        };
        match choice {
            Ok(seat) => Some(self.lend(id, rules, seat, delivery, scene)),
            Err(delay) => {
                self.step_aside(id, &delivery, delay, scene.now);
                self.settle_later(id, Settling::silent(delivery.token, hand_back(delay)));
                None
            }
        }
    }

    /// Who hands the same record back twice was faster than the one for whom it
    /// is, and might be so for ever: it waits until the other has had its chance.
    fn step_aside(&mut self, id: SourceId, delivery: &QueueDelivery, delay: Duration, now: Instant) {
        let Some(source) = self.sources.get_mut(&id).filter(|_| !delay.is_zero()) else { return };
        if source.refused.len() >= MOST_REFUSED {
            source.refused.clear();
        }
        if !source.refused.insert(delivery.token.item) {
            source.paused_until = Some(now + delay * 2);
        }
    }

    /// Among those with credit, the one that has the least; of several, the
    /// one that has waited longest.
    fn least_loaded(&self, id: SourceId, kind: &Kind) -> Option<SeatId> {
        let seats =
            self.sources.get(&id)?.seats.iter().filter_map(|seat| self.seats.get(seat).map(|found| (seat, found)));
        let free = seats.filter(|(_, seat)| seat.free(kind) > 0);
        free.min_by_key(|(_, seat)| (seat.work, seat.turn)).map(|(seat, _)| *seat)
    }

    /// An answer goes to the session that called; while the caller's member
    /// is there and has the agent, to that member; else to any session of the agent.
    fn for_reply(
        &self,
        id: SourceId,
        agent: &AgentName,
        record: &Record,
        scene: Scene<'_>,
    ) -> Result<SeatId, Duration> {
        let kind = Kind::Replies(agent.clone());
        let caller = record.headers.get(header::CALLER);
        let seats = self.sources.get(&id).map(|source| &source.seats);
        let caller = seats.into_iter().flatten().find(|seat| {
            caller.is_some() && self.seats.get(seat).is_some_and(|seat| seat.producer.as_deref() == caller)
        });
        if let Some(seat) = caller.filter(|seat| self.seats.get(seat).is_some_and(|seat| seat.free(&kind) > 0)) {
            return Ok(*seat);
        }
        let elsewhere = record.headers.get(CALLER_MEMBER).map(MemberId::from).filter(|member| member != scene.member);
        if elsewhere.is_some_and(|member| scene.view.has_agent(&member, agent)) {
            return Err(REPLY_DELAY);
        }
        self.least_loaded(id, &kind).ok_or(REPLY_DELAY)
    }

    fn lend(
        &mut self,
        id: SourceId,
        rules: &Rules,
        seat_id: SeatId,
        delivery: QueueDelivery,
        scene: Scene<'_>,
    ) -> Token {
        let now = scene.now;
        let token = crate::identity::fresh_token();
        self.turn += 1;
        let seat = self.seats.get_mut(&seat_id).expect("a seat that was chosen is there");
        seat.turn = self.turn;
        *seat.used(&rules.kind) += 1;
        if seat.free(&rules.kind) == 0 {
            self.woken.extend(&seat.sources);
        }
        let delivered = Delivered {
            token,
            idempotency_key: idempotency_key(&delivery.record.envelope.event.id, &rules.receiver),
            record: Arc::clone(&delivery.record),
            attempt: delivery.attempt,
        };
        self.outbox.add(&seat.post, ConsumerEvent::Deliver(delivered));
        let lease = Lease::new(now, self.max_processing);
        let QueueDelivery { record, attempt, token: item, .. } = delivery;
        let deadline = Call::of(&record).map(|call| now + call.deadline.since(scene.wall));
        let mut loan = Loan { source: id, seat: seat_id, item, record, attempt, lease, deadline, end: now };
        loan.end = loan.ends_at(seat.lost, rules.ack_wait);
        self.ends.insert((loan.end, token));
        self.loans.insert(token, loan);
        self.renew_from(id, token, now + rules.ack_wait / 3);
        token
    }

    fn renew_from(&mut self, id: SourceId, token: Token, at: Instant) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        if source.loans.is_empty() {
            self.renewals.insert((at, id));
        }
        source.loans.insert(token);
    }
}

/// Handed back unstarted.
pub(super) fn hand_back(delay: Duration) -> Settlement {
    Settlement::Nak { delay, counted: false }
}

/// Whether a command's time has passed.
pub(crate) fn is_expired(record: &Record, wall: Timestamp) -> bool {
    let expiry = record.headers.get(header::EXPIRY).and_then(|text| Timestamp::parse(text).ok());
    expiry.is_some_and(|expiry| expiry <= wall)
}

impl Settling {
    /// One that nobody waits for.
    pub(super) fn silent(item: QueueToken, settlement: Settlement) -> Self {
        Self { item, settlement, before: None, answer: None }
    }
}
