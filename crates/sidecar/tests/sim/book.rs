//! What the checker knows of one session: what it heard, and what follows.

use std::collections::{BTreeMap, BTreeSet};

use handbell_backend::{PublishError, Record, Stored, header};
use handbell_delivery::{Call, ConsumerEvent, ConsumerKey, Token};
use handbell_protocol::Timestamp;
use handbell_sidecar::session::Ticket;

use super::{World, handler::Says};

/// What a frame means, beyond what stands in it.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    Publish(u64),
    Subscribe(String),
    Credit(String, u32),
    /// A verdict on deliveries, each with the session that handed it out, and
    /// the marks of the outputs.
    Verdict {
        named: Vec<(String, usize)>,
        says: Says,
        outputs: Vec<String>,
    },
    Other,
}

/// What an input means.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Nothing,
    Frame(Note),
    Receipt(Ticket, Result<Stored, PublishError>),
    Joined(ConsumerKey),
    Given(Token, Given),
    Settled(Token),
    Gone(Token),
    Revoked(Token),
    Cancelled(String),
    Attached,
    Detached,
    Drain,
    Unsent(String),
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Out,
    Settling,
    /// Settled durably.
    Settled,
    /// Lost: revoked, refused, its subscription ended.
    Over,
}

/// A delivery that a session was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) key: ConsumerKey,
    pub(crate) event: String,
    pub(crate) attempt: u32,
    /// The call that it answers, if it is an answer.
    pub(crate) answers: Option<String>,
    /// When the request that it is ends.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) delivery: Option<String>,
    pub(crate) stage: Stage,
    pub(crate) cancelled: bool,
    pub(crate) told_settled: bool,
    /// What was said on it in this session, with the marks of its outputs.
    pub(crate) said: Vec<(Says, Vec<String>)>,
}

/// A subscription, or direct work.
#[derive(Default)]
pub(crate) struct SubBook {
    pub(crate) name: String,
    pub(crate) ceiling: u32,
    pub(crate) joined: bool,
    pub(crate) told: bool,
}

/// A publish that was handed over.
pub(crate) struct Handed {
    pub(crate) seq: Option<u64>,
    pub(crate) mark: String,
}

/// One session's.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) lost: bool,
    pub(crate) draining: bool,
    pub(crate) subs: BTreeMap<ConsumerKey, SubBook>,
    pub(crate) given: BTreeMap<Token, Given>,
    pub(crate) by_delivery: BTreeMap<String, Option<Token>>,
    pub(crate) tickets: BTreeMap<Ticket, Handed>,
    /// Told as open, and not handed over since.
    pub(crate) open: BTreeSet<u64>,
    pub(crate) acked: BTreeSet<u64>,
    pub(crate) doubtful: BTreeSet<u64>,
    /// Outputs and answers that the broker has.
    pub(crate) stored: BTreeSet<String>,
    pub(crate) replies: BTreeMap<String, String>,
    /// Of each delivery: which output has which ID.
    pub(crate) output_ids: BTreeMap<(String, String), String>,
    /// What the last input led to.
    pub(crate) sent_now: BTreeSet<String>,
}

impl Heard {
    pub(crate) fn of(key: ConsumerKey, event: &ConsumerEvent) -> Self {
        match event {
            ConsumerEvent::Deliver(delivered) => {
                Self::Given(delivered.token, Given::of(key, &delivered.record, delivered.attempt))
            }
            ConsumerEvent::Settled(token) => Self::Settled(*token),
            ConsumerEvent::Gone(token) => Self::Gone(*token),
            ConsumerEvent::Revoked(token) => Self::Revoked(*token),
            ConsumerEvent::Gap(_) | ConsumerEvent::Level => Self::Nothing,
        }
    }
}

impl Given {
    fn of(key: ConsumerKey, record: &Record, attempt: u32) -> Self {
        let is_answer = record.headers.get(header::STATUS).is_some();
        Self {
            key,
            event: record.envelope.event.id.clone(),
            attempt,
            answers: record.headers.get(header::CALL).filter(|_| is_answer).map(ToOwned::to_owned),
            deadline: Call::of(record).map(|call| call.deadline),
            delivery: None,
            stage: Stage::Out,
            cancelled: false,
            told_settled: false,
            said: Vec::new(),
        }
    }
}

impl Book {
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = u64> {
        self.tickets.values().filter_map(|handed| handed.seq)
    }

    pub(crate) fn key_of(&self, sub: &str) -> Option<ConsumerKey> {
        self.subs.iter().find(|(_, book)| book.name == sub).map(|(key, _)| *key)
    }

    /// The delivery that a verdict names, if this session handed it out.
    pub(crate) fn named(&mut self, delivery: &str) -> Option<&mut Given> {
        let token = (*self.by_delivery.get(delivery)?)?;
        self.given.get_mut(&token)
    }

    fn stage(&mut self, token: Token, stage: Stage) {
        if let Some(given) = self.given.get_mut(&token) {
            given.stage = stage;
        }
    }

    fn receipt(&mut self, ticket: Ticket, result: &Result<Stored, PublishError>) {
        let Some(Handed { seq, mark }) = self.tickets.remove(&ticket) else { return };
        match (seq, result) {
            (Some(seq), Ok(_)) => {
                self.acked.insert(seq);
                self.open.remove(&seq);
            }
            (Some(seq), Err(error)) if error.is_retryable() => {
                self.open.insert(seq);
                if error.is_in_doubt() {
                    self.doubtful.insert(seq);
                }
            }
            (None, Ok(_)) => {
                self.stored.insert(mark);
            }
            _ => {}
        }
    }
}

impl World {
    /// Notes what a session is about to hear.
    pub(crate) fn hear(&mut self, sess: usize, heard: &Heard) {
        let items = &self.clients[self.sessions[sess].client].items;
        let book = &mut self.sessions[sess].book;
        book.sent_now.clear();
        match heard {
            // A request may wait in the session until somebody is there.
            Heard::Frame(Note::Publish(seq)) if items[seq].call.is_some() => {
                book.open.remove(seq);
            }
            Heard::Frame(Note::Verdict { named, says, outputs }) => {
                for (delivery, from) in named {
                    if *from == sess
                        && let Some(given) = book.named(delivery)
                    {
                        given.said.push((*says, outputs.clone()));
                    }
                }
            }
            Heard::Frame(Note::Credit(sub, add)) => {
                if let Some(key) = book.key_of(sub) {
                    book.subs.get_mut(&key).expect("it was found").ceiling += add;
                }
            }
            Heard::Receipt(ticket, result) => book.receipt(*ticket, result),
            Heard::Joined(key) => {
                if let Some(sub) = book.subs.get_mut(key) {
                    sub.joined = true;
                }
            }
            Heard::Given(token, given) => {
                book.given.insert(*token, given.clone());
            }
            Heard::Settled(token) => book.stage(*token, Stage::Settled),
            Heard::Gone(token) | Heard::Revoked(token) => book.stage(*token, Stage::Over),
            Heard::Cancelled(request) => {
                book.given
                    .values_mut()
                    .filter(|given| given.event == *request)
                    .for_each(|given| given.cancelled = true);
            }
            Heard::Attached => book.lost = false,
            Heard::Detached => book.lost = true,
            Heard::Drain => book.draining = true,
            Heard::Unsent(delivery) => {
                if let Some(given) = book.named(delivery) {
                    given.said.push((Says::Release, vec![]));
                }
            }
            Heard::Nothing | Heard::Frame(_) => {}
        }
    }
}
