//! How a fan-out's deliveries end.

use std::time::{Duration, Instant};

use super::{
    core::{Core, Out},
    window::Waiting,
};
use crate::{ConsumerEvent, Token, Verdict, counts::count, lending::is_notification};

impl Core {
    pub(super) fn credit(&mut self, ceiling: u32) {
        self.ceiling = ceiling;
    }

    /// Takes verdicts: they are as durable as the fan-out itself, at once.
    pub(super) fn settle(&mut self, verdicts: Vec<(Token, Verdict)>, now: Instant) {
        for (token, verdict) in verdicts {
            let Some(event) = self.end(token) else {
                self.outbox.add(&self.post, ConsumerEvent::Gone(token));
                continue;
            };
            match verdict {
                Verdict::Ack => self.window.release(&event.record),
                Verdict::Release => self.window.put_back(event),
                Verdict::Nack { class, delay, .. } => self.fail(event, &class, delay, now),
                Verdict::Reject { .. } => self.give_up(&event),
            }
            self.outbox.add(&self.post, ConsumerEvent::Settled(token));
        }
    }

    pub(super) fn extend(&mut self, token: Token, lease: Duration, now: Instant) {
        match self.out.get_mut(&token) {
            Some(out) => {
                out.lease.extend(now, lease);
                self.replan(token);
            }
            None => self.outbox.add(&self.post, ConsumerEvent::Gone(token)),
        }
    }

    pub(super) fn connected(&mut self, connected: bool, now: Instant) {
        self.lost = if connected { None } else { self.lost.or(Some(now)) };
        let tokens: Vec<Token> = self.out.keys().copied().collect();
        tokens.into_iter().for_each(|token| self.replan(token));
    }

    /// Ends the leases that have run out.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(first) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.ends.remove(&first);
            if let Some(event) = self.end(first.1) {
                self.outbox.add(&self.post, ConsumerEvent::Revoked(first.1));
                self.fail(event, "timeout", None, now);
            }
        }
    }

    fn fail(&mut self, event: Waiting, class: &str, delay: Option<Duration>, now: Instant) {
        if is_notification(&event.record) || !self.retry.retries(class, event.attempt) {
            return self.give_up(&event);
        }
        let delay = delay.unwrap_or_else(|| self.retry.delay(event.attempt, self.shares.next()));
        let event = Waiting { attempt: event.attempt + 1, ..event };
        self.window.retry(event, now + delay);
    }

    fn give_up(&mut self, event: &Waiting) {
        let notification = is_notification(&event.record);
        count(if notification { &self.counters.notifications } else { &self.counters.given_up });
        self.window.release(&event.record);
    }

    fn end(&mut self, token: Token) -> Option<Waiting> {
        let Out { event, end, .. } = self.out.remove(&token)?;
        self.ends.remove(&(end, token));
        Some(event)
    }

    fn replan(&mut self, token: Token) {
        let Some(out) = self.out.get_mut(&token) else { return };
        self.ends.remove(&(out.end, token));
        out.end = out.lease.end(self.lost, self.ack_wait);
        self.ends.insert((out.end, token));
    }
}
