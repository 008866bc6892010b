//! The consumers behind the sessions: a durable group with order per key,
//! fan-outs, inboxes and replies, as `delivery` does it, in one place.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use handbell_backend::{Class, PartitionCount, Record, header};
use handbell_delivery::{
    Answer, Call, ConsumerEvent, ConsumerKey, Delivered, Leave, Token, Verdict,
    inbox::{agent_topic, topic_of},
};
use handbell_protocol::{AgentName, Target};
use handbell_sidecar::session::Join;

use super::{Happening, World};

/// Where work waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The one durable group.
    Group,
    /// A fan-out of one session.
    Fanout(usize, ConsumerKey),
    /// An inbox, by its topic.
    Inbox(String),
    /// Answers for a producer.
    Reply(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Out(Token),
    Done,
}

/// Something to be consumed once.
pub(crate) struct Work {
    pub(crate) record: Arc<Record>,
    pub(crate) place: Place,
    pub(crate) state: State,
    pub(crate) attempt: u32,
    pub(crate) not_before: u64,
}

/// A consumer of a session.
pub(crate) struct Consumer {
    pub(crate) places: Vec<Place>,
    pub(crate) ceiling: u32,
    pub(crate) reachable: bool,
    pub(crate) out: u32,
}

/// All work and all consumers.
#[derive(Default)]
pub(crate) struct Hub {
    pub(crate) works: Vec<Work>,
    waiting: BTreeSet<usize>,
    tokens: HashMap<Token, (usize, usize, ConsumerKey)>,
    last_token: u64,
    pub(crate) consumers: BTreeMap<(usize, ConsumerKey), Consumer>,
}

impl Hub {
    /// Which work a token stands for while it is out.
    pub(crate) fn work_of(&self, token: Token) -> Option<usize> {
        let (work, ..) = self.tokens.get(&token)?;
        (self.works[*work].state == State::Out(token)).then_some(*work)
    }

    fn end(&mut self, token: Token, state: State) -> Option<usize> {
        let work = self.work_of(token)?;
        let (_, sess, key) = self.tokens[&token];
        if let Some(consumer) = self.consumers.get_mut(&(sess, key)) {
            consumer.out -= 1;
        }
        self.works[work].state = state;
        if state == State::Waiting {
            self.waiting.insert(work);
        }
        Some(work)
    }

    pub(crate) fn all_out(&self) -> Vec<Token> {
        let out = |work: &Work| match work.state {
            State::Out(token) => Some(token),
            _ => None,
        };
        self.works.iter().filter_map(out).collect()
    }
}

/// What a join consumes.
pub(crate) fn places(sess: usize, key: ConsumerKey, join: &Join) -> Vec<Place> {
    match join {
        Join::Group { .. } => vec![Place::Group],
        Join::Fanout { .. } => vec![Place::Fanout(sess, key)],
        Join::Direct { spec, .. } => {
            let pools = spec.pools.iter().filter_map(|pool| topic_of(&Target::Pool(pool.clone())));
            let mut places: Vec<_> = pools.map(|topic| Place::Inbox(topic.to_string())).collect();
            places.push(Place::Inbox(agent_topic(&spec.agent).to_string()));
            places.push(Place::Reply(spec.producer.clone()));
            places
        }
    }
}

impl World {
    /// A new record becomes work for whoever consumes it.
    pub(crate) fn spread(&mut self, record: &Arc<Record>) {
        let mut at = Vec::new();
        if record.position.class == Class::Ev {
            if !record.topic.as_str().starts_with("t.") {
                return;
            }
            at.push(Place::Group);
            let fanouts = self.hub.consumers.values().flat_map(|consumer| consumer.places.iter());
            at.extend(fanouts.filter(|place| matches!(place, Place::Fanout(..))).cloned());
        } else if record.headers.get(header::STATUS).is_some() {
            at.push(Place::Reply(record.headers.get(header::CALLER).unwrap_or_default().to_owned()));
        } else if record.topic.as_str() != "all" {
            at.push(Place::Inbox(record.topic.to_string()));
        }
        for place in at {
            let work = self.hub.works.len();
            let (record, state) = (record.clone(), State::Waiting);
            if let Some(call) = Call::of(&record) {
                let left = call.deadline.since(self.true_time()).as_millis() as u64;
                self.later(left, Happening::Deadline(work));
            }
            self.hub.works.push(Work { record, place, state, attempt: 1, not_before: 0 });
            self.hub.waiting.insert(work);
        }
        self.later(1, Happening::Dispatch);
    }

    /// Hands out what may be handed out.
    pub(crate) fn dispatch(&mut self) {
        for work in self.hub.waiting.iter().copied().collect::<Vec<_>>() {
            if self.hub.works[work].not_before > self.now || self.key_is_held(work) {
                continue;
            }
            let place = &self.hub.works[work].place;
            let free = |consumer: &Consumer| consumer.reachable && consumer.out < consumer.ceiling;
            let of_place = self.hub.consumers.iter().filter(|(_, consumer)| consumer.places.contains(place));
            let takers: Vec<_> = of_place.filter(|(_, consumer)| free(consumer)).map(|(id, _)| *id).collect();
            if takers.is_empty() {
                continue;
            }
            let (sess, key) = *self.random.pick(&takers);
            // A sidecar hands out nothing that is over by its clock.
            let call = Call::of(&self.hub.works[work].record);
            if call.is_some_and(|call| call.deadline <= self.wall(self.sessions[sess].process)) {
                self.deadline(work);
                continue;
            }
            self.hand_out(work, sess, key);
        }
    }

    /// An earlier event of the key isn't done.
    fn key_is_held(&self, work: usize) -> bool {
        let works = &self.hub.works;
        let Some(key) = &works[work].record.envelope.routing.partition_key else { return false };
        works[work].place == Place::Group
            && works[..work].iter().any(|other| {
                other.place == Place::Group
                    && other.state != State::Done
                    && other.record.envelope.routing.partition_key.as_ref() == Some(key)
            })
    }

    fn hand_out(&mut self, work: usize, sess: usize, key: ConsumerKey) {
        self.hub.last_token += 1;
        let token = Token(self.hub.last_token);
        self.hub.waiting.remove(&work);
        self.hub.tokens.insert(token, (work, sess, key));
        self.hub.works[work].state = State::Out(token);
        self.hub.consumers.get_mut(&(sess, key)).expect("a taker").out += 1;
        self.check_hand_out(sess, key);
        let Work { record, attempt, .. } = &self.hub.works[work];
        let idempotency_key = record.envelope.event.id.as_str().into();
        let delivered = Delivered { token, record: record.clone(), attempt: *attempt, idempotency_key };
        self.tell(sess, key, ConsumerEvent::Deliver(delivered));
    }

    /// Leaves something in a session's mailbox, which keeps its order.
    fn tell(&mut self, sess: usize, key: ConsumerKey, event: ConsumerEvent) {
        let at = (self.now + self.random.between(1, 15)).max(self.sessions[sess].last_mail);
        self.sessions[sess].last_mail = at;
        self.at(at, Happening::Mail(sess, key, event));
    }

    pub(crate) fn settle(&mut self, sess: usize, key: ConsumerKey, token: Token, verdict: &Verdict) {
        let held = self.hub.tokens.get(&token).is_some_and(|(_, s, k)| (*s, *k) == (sess, key));
        let state = match verdict {
            Verdict::Ack | Verdict::Reject { .. } => State::Done,
            Verdict::Nack { .. } | Verdict::Release => State::Waiting,
        };
        match self.hub.end(token, state).filter(|_| held) {
            Some(work) => {
                if let Verdict::Nack { delay, .. } = verdict {
                    let wait = delay.map_or(200, |delay| delay.as_millis() as u64);
                    self.fail(work, wait);
                }
                self.counts.settled += 1;
                self.tell(sess, key, ConsumerEvent::Settled(token));
            }
            None => self.tell(sess, key, ConsumerEvent::Gone(token)),
        }
        self.later(1, Happening::Dispatch);
    }

    fn fail(&mut self, work: usize, wait: u64) {
        self.hub.works[work].attempt += 1;
        self.hub.works[work].not_before = self.now + wait;
        self.later(wait, Happening::Dispatch);
    }

    /// A lease ends.
    pub(crate) fn revoke(&mut self, token: Token) {
        let Some(work) = self.hub.end(token, State::Waiting) else { return };
        let (_, sess, key) = self.hub.tokens[&token];
        self.fail(work, 100);
        self.tell(sess, key, ConsumerEvent::Revoked(token));
    }

    /// A consumer is gone with what it had.
    pub(crate) fn leave(&mut self, sess: usize, key: ConsumerKey, how: Leave) {
        if self.hub.consumers.remove(&(sess, key)).is_none() {
            return;
        }
        for token in self.hub.all_out() {
            let (_, s, k) = self.hub.tokens[&token];
            if (s, k) == (sess, key)
                && let Some(work) = self.hub.end(token, State::Waiting)
                && how == Leave::Lost
            {
                self.fail(work, 100);
            }
        }
        // A fan-out ends with its session.
        for (index, work) in self.hub.works.iter_mut().enumerate() {
            if work.place == Place::Fanout(sess, key) {
                work.state = State::Done;
                self.hub.waiting.remove(&index);
            }
        }
        self.later(1, Happening::Dispatch);
    }

    /// Whoever holds a request that nobody answered tells its caller.
    pub(crate) fn deadline(&mut self, work: usize) {
        let held = &self.hub.works[work];
        if held.state == State::Done {
            return;
        }
        let record = held.record.clone();
        if let State::Out(token) = held.state {
            let (_, sess, key) = self.hub.tokens[&token];
            self.hub.end(token, State::Done);
            self.tell(sess, key, ConsumerEvent::Revoked(token));
        }
        self.hub.works[work].state = State::Done;
        self.hub.waiting.remove(&work);
        let call = Call::of(&record).expect("only requests have a deadline");
        let mut envelope = (*record.envelope).clone();
        envelope.event.causation_id = Some(envelope.event.id.clone());
        envelope.event.id = format!("timeout-{}", envelope.event.id);
        envelope.routing.to = Some(Target::Agent(AgentName::parse(call.caller.as_str()).expect("a name")));
        let request = &record.envelope.event.id;
        let outgoing = call.answer(request, envelope, Answer::Timeout, PartitionCount::default());
        let _stored = self.store(&outgoing);
    }
}
