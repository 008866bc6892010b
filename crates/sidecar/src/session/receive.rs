//! What consumers have for the agent.

use std::sync::Arc;

use handbell_backend::{Class, Record, header};
use handbell_delivery::{ConsumerEvent, ConsumerKey, Delivered, Token, Verdict};
use handbell_protocol::{
    event::Cause,
    frame::{Gap, ServerFrame, Settled},
};

use super::{
    Effect, Now, Phase, Session,
    deliveries::{Frame, Held, Lineage, State, frame_of},
};

impl Session {
    pub(super) fn consumer_event(&mut self, now: Now, key: ConsumerKey, event: ConsumerEvent) {
        let Some(event) = self.keep_early(key, event) else { return };
        match event {
            ConsumerEvent::Deliver(delivered) if is_answer(&delivered.record) => self.answered(now, delivered),
            ConsumerEvent::Deliver(delivered) => self.deliver(key, delivered),
            ConsumerEvent::Settled(token) => self.settled(token),
            ConsumerEvent::Gone(token) => self.settled_in_vain(token),
            ConsumerEvent::Revoked(token) => self.revoked(now, token),
            ConsumerEvent::Gap(trimmed) => {
                if let Some(sub) = self.subs.get(key).map(|sub| sub.name.to_string()) {
                    let (from, to) = (trimmed.from.to_string(), trimmed.to.to_string());
                    self.send(ServerFrame::Gap(Gap { sub, from, to, count: trimmed.count }));
                }
            }
            ConsumerEvent::Level => {
                if let Some(sub) = self.subs.get(key).map(|sub| sub.name.to_string()) {
                    self.send(ServerFrame::Level { sub });
                }
            }
        }
    }

    fn deliver(&mut self, key: ConsumerKey, delivered: Delivered) {
        let Some(sub) = self.subs.get(key) else { return };
        if self.phase == Phase::Draining {
            self.out.push(Effect::Settle(key, vec![(delivered.token, Verdict::Release)]));
            return;
        }
        let Delivered { token, record, attempt, idempotency_key } = delivered;
        let receiver = sub.receiver.clone().unwrap_or_else(|| receiver_of(&record, self.agent.as_str()));
        let lineage = Lineage { cause: Cause::of(&record.envelope), receiver, next: 0 };
        let (sub, action) = (sub.name.clone(), sub.action.clone());
        let frame = Frame::Work { sub, record, attempt, idempotency_key, action };
        let id = self.deliveries.hold(key, Some(token), frame, lineage);
        if let Some(held) = self.deliveries.get(&id) {
            let frame = frame_of(&id, held, &self.trace);
            self.send(frame);
        }
    }

    fn settled(&mut self, token: Token) {
        let Some(id) = self.deliveries.id_of(token) else { return };
        let Some(held) = self.deliveries.let_go(&id) else { return };
        if let State::Settling { confirm: true, published } = held.state {
            self.tell_settled(&id, published);
        }
    }

    /// `settled`; those without outputs that follow one another share a frame.
    pub(super) fn tell_settled(&mut self, id: &str, published: Option<Vec<handbell_protocol::frame::OutputPublished>>) {
        if published.is_none()
            && let Some(Effect::Send(ServerFrame::Settled(Settled { deliveries, published: None }))) =
                self.out.last_mut()
        {
            deliveries.push(id.to_owned());
            return;
        }
        self.send(ServerFrame::Settled(Settled { deliveries: vec![id.to_owned()], published }));
    }

    /// The verdict came too late.
    fn settled_in_vain(&mut self, token: Token) {
        let Some(id) = self.deliveries.id_of(token) else { return };
        self.deliveries.let_go(&id);
        self.gone(&id);
    }

    /// The lease has ended: a later verdict is `gone`. Whoever works on a
    /// request whose deadline has passed works in vain.
    fn revoked(&mut self, now: Now, token: Token) {
        let Some(id) = self.deliveries.id_of(token) else { return };
        if self.answering.contains_key(&id) {
            // Whether its answer was the first, the broker will tell.
            return self.deliveries.release(&id);
        }
        if self.deliveries.disown(&id) {
            return;
        }
        let Some(held) = self.deliveries.let_go(&id) else { return };
        if matches!(held.state, State::Settling { .. }) {
            self.gone(&id);
        } else if held.call().is_some_and(|call| call.deadline <= now.wall) {
            self.send(ServerFrame::Cancelled { delivery: id.to_string() });
        }
    }

    /// The frame was never written: the event goes to somebody else at once.
    pub(super) fn unsent(&mut self, delivery: &str) {
        let Some((key, token)) = self.deliveries.open(delivery).and_then(|held| Some((held.key, held.token?))) else {
            return;
        };
        self.deliveries.let_go(delivery);
        self.out.push(Effect::Settle(key, vec![(token, Verdict::Release)]));
    }

    /// Somebody cancelled a request that this agent may be working on.
    pub(super) fn request_cancelled(&mut self, request: &str) {
        for id in self.deliveries.answering(request) {
            let settling = |held: &mut Held| matches!(held.state, State::Settling { .. });
            if self.deliveries.get(&id).is_some_and(settling) {
                continue;
            }
            let Some(held) = self.deliveries.let_go(&id) else { continue };
            if let Some(token) = held.token {
                self.out.push(Effect::Settle(held.key, vec![(token, Verdict::Ack)]));
            }
            self.send(ServerFrame::Cancelled { delivery: id.to_string() });
        }
    }
}

/// Whether a record is an answer to a call.
fn is_answer(record: &Record) -> bool {
    record.position.class == Class::Inbox && record.headers.get(header::STATUS).is_some()
}

/// Whose outputs are numbered in one row, for direct work: the pool's or the
/// capability's, or else the agent's.
fn receiver_of(record: &Record, agent: &str) -> Arc<str> {
    use handbell_protocol::Target;
    match &record.envelope.routing.to {
        Some(target @ (Target::Pool(_) | Target::Capability(_))) => target.to_string().into(),
        _ => agent.into(),
    }
}
