//! How loans end: by a verdict, by their lease, with their consumer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_backend::{QueueToken, Record, Settlement};
use handbell_protocol::Kind as EventKind;

use super::{
    desk::{Before, Desk, Kind, Loan, Renewal, SeatId, Settling, SourceId},
    hand_out::hand_back,
};
use crate::{Call, ConsumerEvent, DeadLetter, Leave, Token, Verdict, counts::count, post::Post};

impl Desk {
    /// Sets a consumer's ceiling.
    pub(crate) fn credit(&mut self, seat: SeatId, ceiling: u32) {
        if let Some(seat) = self.seats.get_mut(&seat) {
            seat.ceiling = ceiling;
            self.woken.extend(&seat.sources);
        }
    }

    /// A consumer's connection was lost, or is back.
    pub(crate) fn connected(&mut self, id: SeatId, connected: bool, now: Instant) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        match (connected, seat.lost) {
            (false, None) => seat.lost = Some(now),
            (true, Some(_)) => seat.lost = None,
            _ => return,
        }
        self.woken.extend(&seat.sources);
        for token in self.loans_of(id) {
            self.replan(token);
        }
    }

    /// Sets a lease's end to `lease` from now.
    pub(crate) fn extend(&mut self, seat: SeatId, token: Token, lease: Duration, now: Instant) {
        match self.loans.get_mut(&token).filter(|loan| loan.seat == seat) {
            Some(loan) => {
                loan.lease.extend(now, lease);
                self.replan(token);
            }
            None => self.gone(seat, token),
        }
    }

    /// Takes a consumer's verdicts.
    pub(crate) fn settle(&mut self, seat: SeatId, verdicts: Vec<(Token, Verdict)>) {
        for (token, verdict) in verdicts {
            if self.loans.get(&token).is_none_or(|loan| loan.seat != seat) {
                self.gone(seat, token);
                continue;
            }
            let Some(loan) = self.end_loan(token) else { continue };
            let answer = self.seats.get(&seat).map(|seat| (seat.post.clone(), token));
            self.judge(loan, verdict, answer);
        }
    }

    /// Ends what has run out.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(first) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.ends.remove(&first);
            let token = first.1;
            self.revoke(token);
            match self.end_loan(token) {
                Some(loan) if loan.deadline.is_some_and(|deadline| deadline <= now) => {
                    self.expire(loan.source, loan.item, loan.record);
                }
                Some(loan) => self.fail(loan, "timeout", "its lease ended".into(), None, None),
                None => {}
            }
        }
    }

    /// The loans whose leases with the backend must be renewed now, by source.
    pub(crate) fn renewals(&mut self, now: Instant) -> Vec<Renewal> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.renewals.first().copied().filter(|(at, _)| *at <= now) {
            self.renewals.remove(&(at, id));
            let Some(source) = self.sources.get(&id).filter(|source| !source.loans.is_empty()) else { continue };
            let items = source.loans.iter().filter_map(|token| Some((*token, copy(&self.loans.get(token)?.item))));
            due.push(Renewal { source: id, ack_wait: source.rules.ack_wait, items: items.collect() });
            self.renewals.insert((now + source.rules.ack_wait / 3, id));
        }
        due
    }

    /// The backend says that a loan's lease had ended.
    pub(crate) fn taken_away(&mut self, token: Token) {
        self.revoke(token);
        self.end_loan(token);
    }

    /// A consumer leaves; what it has is given back.
    pub(crate) fn leave(&mut self, id: SeatId, how: Leave) {
        for token in self.loans_of(id) {
            let Some(loan) = self.end_loan(token) else { continue };
            match how {
                Leave::Clean => self.settle_later(loan.source, Settling::silent(loan.item, hand_back(Duration::ZERO))),
                Leave::Lost => self.fail(loan, "lost", "its consumer was lost".into(), None, None),
            }
        }
        let Some(seat) = self.seats.remove(&id) else { return };
        for source in &seat.sources {
            if let Some(open) = self.sources.get_mut(source) {
                open.seats.remove(&id);
            }
        }
        self.woken.extend(seat.sources);
    }

    /// Those that are seated.
    pub(crate) fn seated(&self) -> Vec<SeatId> {
        self.seats.keys().copied().collect()
    }

    /// How many loans a source has out, and since when the oldest event waits.
    pub(crate) fn unsettled(&self, source: SourceId) -> impl Iterator<Item = &Arc<Record>> {
        let loans = self.sources.get(&source).map(|open| &open.loans);
        loans.into_iter().flatten().filter_map(|token| Some(&self.loans.get(token)?.record))
    }

    fn judge(&mut self, loan: Loan, verdict: Verdict, answer: Option<(Post, Token)>) {
        let settling = |item, settlement| Settling { item, settlement, before: None, answer: answer.clone() };
        match verdict {
            Verdict::Ack => self.settle_later(loan.source, settling(loan.item, Settlement::Ack)),
            Verdict::Release => self.settle_later(loan.source, settling(loan.item, hand_back(Duration::ZERO))),
            Verdict::Nack { class, reason, delay } => self.fail(loan, &class, reason, delay, answer),
            Verdict::Reject { reason } => {
                let letter = DeadLetter { class: "rejected".into(), reason, attempts: loan.attempt };
                self.give_up(loan.source, loan.item, loan.record, letter, answer);
            }
        }
    }

    /// A delivery has failed: again later, or never.
    fn fail(
        &mut self,
        loan: Loan,
        class: &str,
        reason: String,
        delay: Option<Duration>,
        answer: Option<(Post, Token)>,
    ) {
        let Some(rules) = self.sources.get(&loan.source).map(|source| &source.rules) else { return };
        let replies = rules.kind != Kind::Work;
        let again = replies || (!is_notification(&loan.record) && rules.retry.retries(class, loan.attempt));
        if again {
            // A lost caller's answers are for its next session, at once.
            let delay = delay.or((replies && class == "lost").then_some(Duration::ZERO));
            let delay = delay.unwrap_or_else(|| rules.retry.delay(loan.attempt, self.shares.next()));
            let settlement = Settlement::Nak { delay, counted: true };
            return self.settle_later(loan.source, Settling { item: loan.item, settlement, before: None, answer });
        }
        let letter = DeadLetter { class: class.to_owned(), reason, attempts: loan.attempt };
        self.give_up(loan.source, loan.item, loan.record, letter, answer);
    }

    /// Ends a record whose time has passed; whoever waits for its answer is told.
    pub(super) fn expire(&mut self, source: SourceId, item: QueueToken, record: Arc<Record>) {
        count(&self.counters.expired);
        let before = Call::of(&record).map(|call| Before::Unanswered(record, call));
        self.settle_later(source, Settling { item, settlement: Settlement::Ack, before, answer: None });
    }

    /// Ends a record for good: as a dead letter, or, where its kind has none,
    /// counted and dropped.
    pub(super) fn give_up(
        &mut self,
        source: SourceId,
        item: QueueToken,
        record: Arc<Record>,
        letter: DeadLetter,
        answer: Option<(Post, Token)>,
    ) {
        let replies = self.sources.get(&source).is_some_and(|source| source.rules.kind != Kind::Work);
        let settlement = Settlement::Term { reason: letter.class.clone() };
        let before = if replies || is_notification(&record) {
            count(&self.counters.notifications);
            None
        } else {
            count(&self.counters.dead_letters);
            Some(Before::Buried(record, letter))
        };
        self.settle_later(source, Settling { item, settlement, before, answer });
    }

    /// Takes a loan out of everything but the backend's queue, and frees its credit.
    fn end_loan(&mut self, token: Token) -> Option<Loan> {
        let loan = self.loans.remove(&token)?;
        self.ends.remove(&(loan.end, token));
        if let Some(source) = self.sources.get_mut(&loan.source) {
            source.loans.remove(&token);
            if source.suspect == Some(token) {
                source.suspect = None;
                source.paused_until = None;
            }
            if let Some(seat) = self.seats.get_mut(&loan.seat) {
                *seat.used(&source.rules.kind) -= 1;
                self.woken.extend(&seat.sources);
            }
        }
        Some(loan)
    }

    fn replan(&mut self, token: Token) {
        let Some(loan) = self.loans.get_mut(&token) else { return };
        let lost = self.seats.get(&loan.seat).and_then(|seat| seat.lost);
        let Some(source) = self.sources.get(&loan.source) else { return };
        self.ends.remove(&(loan.end, token));
        loan.end = loan.ends_at(lost, source.rules.ack_wait);
        self.ends.insert((loan.end, token));
    }

    fn revoke(&mut self, token: Token) {
        let seat = self.loans.get(&token).and_then(|loan| self.seats.get(&loan.seat));
        if let Some(seat) = seat {
            self.outbox.add(&seat.post, ConsumerEvent::Revoked(token));
        }
    }

    fn gone(&mut self, seat: SeatId, token: Token) {
        if let Some(seat) = self.seats.get(&seat) {
            self.outbox.add(&seat.post, ConsumerEvent::Gone(token));
        }
    }

    fn loans_of(&self, seat: SeatId) -> Vec<Token> {
        let sources = self.seats.get(&seat).map(|seat| &seat.sources);
        let loans = sources.into_iter().flatten().filter_map(|source| self.sources.get(source));
        let tokens = loans.flat_map(|source| source.loans.iter().copied());
        tokens.filter(|token| self.loans.get(token).is_some_and(|loan| loan.seat == seat)).collect()
    }
}

impl Loan {
    /// When it ends: with its lease, and never later than its deadline.
    pub(super) fn ends_at(&self, lost: Option<Instant>, ack_wait: Duration) -> Instant {
        let end = self.lease.end(lost, ack_wait);
        self.deadline.map_or(end, |deadline| deadline.min(end))
    }
}

/// Settling takes a token over; the desk and the shell each need their own.
pub(super) fn copy(item: &QueueToken) -> QueueToken {
    QueueToken { item: item.item, lease: item.lease }
}

/// Notifications have no retry and no dead letter.
pub(crate) fn is_notification(record: &Record) -> bool {
    record.envelope.event.kind() == EventKind::Notification
}
