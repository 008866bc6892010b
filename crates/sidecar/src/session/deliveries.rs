//! What the agent holds: deliveries and replies that it has not settled, and
//! the last ones that it has, since they may still be named as a cause.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use handbell_backend::Record;
use handbell_delivery::{Call, ConsumerKey, Token};
use handbell_protocol::{
    event::{Cause, id::base32},
    frame::{OutputPublished, Reply, ServerFrame},
};

/// So many settled deliveries can still be named as a cause.
const PAST: usize = 1_024;

/// A delivery that the agent holds.
#[derive(Debug)]
pub(super) struct Held {
    /// Whose it is.
    pub(super) key: ConsumerKey,
    /// What settles it; a reply that the sidecar made itself has none.
    pub(super) token: Option<Token>,
    /// What the agent was told, to be told again after a resume.
    pub(super) frame: Frame,
    /// What its outputs follow from.
    pub(super) lineage: Lineage,
    /// Whether a verdict is under way.
    pub(super) state: State,
    /// The numbers of an `ack`'s outputs, which they keep when it comes again.
    pub(super) outputs: Vec<u64>,
    /// The ID of an answer that may be stored.
    pub(super) doubtful: Option<String>,
    /// The order of handing out.
    number: u64,
}

/// The frame of a delivery.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    /// Work.
    Work {
        /// The subscription's name.
        sub: Arc<str>,
        /// The event.
        record: Arc<Record>,
        /// From 1.
        attempt: u32,
        /// The same for all attempts.
        idempotency_key: Arc<str>,
        /// What a declared subscription says is to be done.
        action: Option<Arc<str>>,
    },
    /// An answer.
    Reply(Box<Reply>),
}

/// What the outputs of a delivery follow from.
#[derive(Clone, Debug)]
pub(super) struct Lineage {
    /// The event.
    pub(super) cause: Cause,
    /// The receiver whose outputs are numbered in one row.
    pub(super) receiver: Arc<str>,
    /// The next output's number.
    pub(super) next: u64,
}

impl Frame {
    /// The call, where it is a request.
    pub(super) fn call(&self) -> Option<Call> {
        match self {
            Self::Work { record, .. } => Call::of(record),
            Self::Reply(_) => None,
        }
    }
}

/// A delivery that the agent holds no more.
#[derive(Debug)]
pub(super) struct LetGo {
    /// Whose it was.
    pub(super) key: ConsumerKey,
    /// What settles it.
    pub(super) token: Option<Token>,
    /// What the agent was told.
    pub(super) frame: Frame,
    /// How far it was.
    pub(super) state: State,
}

/// How far a delivery is.
#[derive(Debug)]
pub(super) enum State {
    /// With the agent.
    Out,
    /// Its outputs or its answer are being stored; whether somebody has asked
    /// meanwhile to have that confirmed.
    Storing {
        /// Whether `settled` is wanted.
        confirm: bool,
    },
    /// A verdict is under way; whether it is to be confirmed, with what.
    Settling {
        /// Whether `settled` is wanted.
        confirm: bool,
        /// What `settled.published` says.
        published: Option<Vec<OutputPublished>>,
    },
}

/// All that a session's agent holds.
#[derive(Debug)]
pub(super) struct Deliveries {
    secret: [u8; 32],
    count: u64,
    held: HashMap<Box<str>, Box<Held>>,
    by_token: HashMap<Token, Box<str>>,
    /// Settled ones, the last at the end.
    past: VecDeque<(Box<str>, Lineage)>,
}

impl Deliveries {
    /// `secret` makes the IDs unguessable.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret, count: 0, held: HashMap::new(), by_token: HashMap::new(), past: VecDeque::new() }
    }

    /// Takes a delivery into the agent's hands and names it.
    pub(super) fn hold(&mut self, key: ConsumerKey, token: Option<Token>, frame: Frame, lineage: Lineage) -> Box<str> {
        self.count += 1;
        let digest = blake3::keyed_hash(&self.secret, &self.count.to_le_bytes());
        let id: Box<str> = format!("d{}", base32(&digest.as_bytes()[..10])).into();
        if let Some(token) = token {
            self.by_token.insert(token, id.clone());
        }
        let held = Held {
            key,
            token,
            frame,
            lineage,
            state: State::Out,
            outputs: Vec::new(),
            doubtful: None,
            number: self.count,
        };
        self.held.insert(id.clone(), Box::new(held));
        id
    }

    /// Lets a reply that the sidecar made itself be settled with a stored one
    /// that says the same; whether there was one.
    pub(super) fn adopt(&mut self, call: &str, token: Token) -> bool {
        let of_call = |held: &Held| matches!(&held.frame, Frame::Reply(reply) if reply.call == call);
        let fit = self.held.iter_mut().filter(|(_, held)| held.token.is_none() && of_call(held));
        let found = fit.min_by_key(|(_, held)| held.number);
        let Some((id, held)) = found else { return false };
        held.token = Some(token);
        self.by_token.insert(token, id.clone());
        true
    }

    /// Nothing settles a delivery any more, and it stays in the agent's hands.
    pub(super) fn release(&mut self, id: &str) {
        if let Some(token) = self.held.get_mut(id).and_then(|held| held.token.take()) {
            self.by_token.remove(&token);
        }
    }

    /// A reply whose lease has ended stays in the agent's hands, as one that
    /// the sidecar made itself: the stored one comes again and is adopted.
    /// Whether the delivery is such a reply.
    pub(super) fn disown(&mut self, id: &str) -> bool {
        let is_reply = |held: &Held| matches!((&held.frame, &held.state), (Frame::Reply(_), State::Out));
        let found = self.held.get(id).is_some_and(|held| is_reply(held));
        if found {
            self.release(id);
        }
        found
    }

    /// Whether it is in the agent's hands.
    pub(super) fn has(&self, id: &str) -> bool {
        self.held.contains_key(id)
    }

    /// A delivery in the agent's hands.
    pub(super) fn get(&mut self, id: &str) -> Option<&mut Held> {
        self.held.get_mut(id).map(Box::as_mut)
    }

    /// A delivery that no verdict is under way for.
    pub(super) fn open(&mut self, id: &str) -> Option<&mut Held> {
        self.get(id).filter(|held| matches!(held.state, State::Out))
    }

    /// Whether a verdict that came before is being stored: it answers for this
    /// one too, and is confirmed if this one is to be.
    pub(super) fn is_storing(&mut self, id: &str, confirm: bool) -> bool {
        match self.held.get_mut(id).map(|held| &mut held.state) {
            Some(State::Storing { confirm: wanted }) => {
                *wanted |= confirm;
                true
            }
            _ => false,
        }
    }

    /// A delivery whose verdict was being stored is out again; whether a
    /// repeat wants it confirmed.
    pub(super) fn stored(&mut self, id: &str) -> Option<(&mut Held, bool)> {
        let held = self.held.get_mut(id)?;
        let confirm = matches!(held.state, State::Storing { confirm: true });
        held.state = State::Out;
        Some((held, confirm))
    }

    /// The delivery of a token.
    pub(super) fn id_of(&self, token: Token) -> Option<Box<str>> {
        self.by_token.get(&token).cloned()
    }

    /// What the outputs of a delivery follow from, also after it was settled.
    pub(super) fn lineage(&mut self, id: &str) -> Option<&mut Lineage> {
        match self.held.get_mut(id) {
            Some(held) => Some(&mut held.lineage),
            None => self.past.iter_mut().rev().find(|(past, _)| **past == *id).map(|(_, lineage)| lineage),
        }
    }

    /// Takes a delivery out of the agent's hands; it can still be a cause.
    pub(super) fn let_go(&mut self, id: &str) -> Option<LetGo> {
        let (id, held) = self.held.remove_entry(id)?;
        let Held { key, token, frame, lineage, state, .. } = *held;
        if let Some(token) = token {
            self.by_token.remove(&token);
        }
        if self.past.len() == PAST {
            self.past.pop_front();
        }
        self.past.push_back((id, lineage));
        Some(LetGo { key, token, frame, state })
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.past.len()
    }

    /// The deliveries of a consumer, in the order of their handing out.
    pub(super) fn of(&self, key: ConsumerKey) -> Vec<Box<str>> {
        self.in_order(|held| held.key == key)
    }

    /// All that the agent must be told again after a resume, in order.
    pub(super) fn unsettled(&self) -> Vec<Box<str>> {
        // Work without a token is over: only its answer is still being stored.
        let over = |held: &Held| held.token.is_none() && matches!(held.frame, Frame::Work { .. });
        self.in_order(|held| !matches!(held.state, State::Settling { .. }) && !over(held))
    }

    /// The work that answers the request with this event ID.
    pub(super) fn answering(&self, request: &str) -> Vec<Box<str>> {
        self.in_order(|held| matches!(&held.frame, Frame::Work { record, .. } if record.envelope.event.id == request))
    }

    fn in_order(&self, wanted: impl Fn(&Held) -> bool) -> Vec<Box<str>> {
        let mut found: Vec<_> = self.held.iter().filter(|(_, held)| wanted(held)).collect();
        found.sort_by_key(|(_, held)| held.number);
        found.into_iter().map(|(id, _)| id.clone()).collect()
    }
}

/// The frame that tells the agent of a delivery.
pub(super) fn frame_of(id: &str, held: &Held, trace: &handbell_protocol::trace::TraceIds) -> ServerFrame {
    use handbell_protocol::frame::{Deliver, Trace};
    match &held.frame {
        Frame::Reply(reply) => ServerFrame::Reply((**reply).clone()),
        Frame::Work { sub, record, attempt, idempotency_key, action } => {
            let event = &record.envelope.event;
            let span = trace.delivery_span(&event.id, &held.lineage.receiver, *attempt);
            ServerFrame::Deliver(Deliver {
                sub: sub.clone(),
                delivery: id.to_owned(),
                attempt: *attempt,
                idempotency_key: idempotency_key.clone(),
                position: record.position.to_string(),
                envelope: record.envelope.clone(),
                trace: Trace { traceparent: trace.traceparent(&event.correlation_id, span) },
                action: action.as_deref().map(Into::into),
                step: None,
                call: record.headers.get(handbell_backend::header::CALL).map(Into::into),
            })
        }
    }
}
