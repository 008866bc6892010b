//! The broker: one log that knows its dedup keys, and how it fails.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use handbell_backend::{Class, Incarnation, Outgoing, Position, PublishError, Record, Stored, header};
use handbell_protocol::{Envelope, Timestamp};

use super::{Happening, World};
use handbell_sidecar::session::Ticket;

/// What is stored.
#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) log: Vec<Arc<Record>>,
    dedup: HashMap<(Class, String), (Option<u64>, Stored)>,
    /// How often each mark was stored, by the topic that it was stored on.
    pub(crate) marks: BTreeMap<(String, String), usize>,
}

/// A publish on its way, in the order of its sidecar.
pub(crate) struct Pending {
    pub(crate) sess: usize,
    pub(crate) ticket: Ticket,
    pub(crate) records: Vec<Outgoing>,
}

/// How a publish meets the broker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Fine,
    Busy,
    Unavailable,
    DoubtStored,
    DoubtLost,
}

/// What tells one event of the simulation from another: the first word of its
/// payload, which is a text; an answer's is the request that it answers.
pub(crate) fn mark_of(envelope: &Envelope, status: Option<&str>) -> String {
    if status.is_some() {
        return format!("answer|{}", envelope.event.causation_id.as_deref().unwrap_or_default());
    }
    let text = envelope.payload.as_str().trim_matches('"');
    text.split(' ').next().unwrap_or_default().to_owned()
}

pub(crate) fn mark(outgoing: &Outgoing) -> String {
    mark_of(&outgoing.envelope, outgoing.headers.get(header::STATUS))
}

impl Broker {
    /// Stores a record unless its dedup key is there; the new record, if there is one.
    fn store(&mut self, outgoing: &Outgoing, now: Timestamp) -> Result<(Stored, Option<Arc<Record>>), PublishError> {
        let key = outgoing.dedup.as_ref().map(|dedup| (outgoing.class, dedup.key.clone()));
        let digest = outgoing.dedup.as_ref().and_then(|dedup| dedup.digest);
        if let Some((stored_digest, first)) = key.as_ref().and_then(|key| self.dedup.get(key)) {
            return match digest {
                Some(_) if *stored_digest != digest => Err(PublishError::Conflict),
                _ => Ok((Stored { duplicate: true, ..first.clone() }, None)),
            };
        }
        let position = Position {
            log: "".into(),
            incarnation: Incarnation(1),
            class: outgoing.class,
            lane: outgoing.envelope.routing.lane(),
            partition: outgoing.partition,
            offset: self.log.len() as u64 + 1,
            time: now,
        };
        let (topic, envelope) = (outgoing.topic.clone(), outgoing.envelope.clone());
        let record =
            Arc::new(Record { position: position.clone(), topic, envelope, headers: outgoing.headers.clone() });
        self.log.push(record.clone());
        *self.marks.entry((mark(outgoing), outgoing.topic.to_string())).or_default() += 1;
        let stored = Stored { position, id: outgoing.envelope.event.id.clone(), duplicate: false };
        if let Some(key) = key {
            self.dedup.insert(key, (digest, stored.clone()));
        }
        Ok((stored, Some(record)))
    }

    /// The record at a position, as frames write it.
    pub(crate) fn at(&self, position: &str) -> Option<&Arc<Record>> {
        let position: Position = position.parse().ok()?;
        self.log.get(usize::try_from(position.offset).ok()?.checked_sub(1)?)
    }

    /// Whether a responder's answer to an event is stored.
    pub(crate) fn has_answer(&self, event: &str) -> bool {
        let is_answer = |record: &Record| matches!(record.headers.get(header::STATUS), Some("ok" | "error"));
        let answers = |record: &Record| record.envelope.event.causation_id.as_deref() == Some(event);
        self.log.iter().any(|record| is_answer(record) && answers(record))
    }

    /// How often a mark was stored, on whatever topic it was stored most.
    pub(crate) fn count(&self, mark: &str) -> usize {
        let from = (mark.to_owned(), String::new());
        self.marks.range(from..).take_while(|((m, _), _)| m == mark).map(|(_, n)| *n).max().unwrap_or(0)
    }
}

impl World {
    /// Takes a publish of a session: its place in the order is given now.
    pub(crate) fn hand_to_broker(&mut self, sess: usize, ticket: Ticket, records: Vec<Outgoing>) {
        let process = self.sessions[sess].process;
        self.processes[process].pending.push_back(Pending { sess, ticket, records });
        let (low, high) = self.settings.broker_latency;
        let at = (self.now + self.random.between(low, high)).max(self.processes[process].last_store);
        self.processes[process].last_store = at;
        self.at(at, Happening::Store(process));
    }

    pub(crate) fn store_next(&mut self, process: usize) {
        let Some(Pending { sess, ticket, records }) = self.processes[process].pending.pop_front() else { return };
        let mut results = records.iter().map(|outgoing| self.try_to_store(outgoing)).collect::<Vec<_>>().into_iter();
        // One receipt for all: the first's, or the first failure.
        let first = results.next().expect("a publish has a record");
        let result = first.and_then(|stored| results.find_map(Result::err).map_or(Ok(stored), Err));
        let late = self.random.chance(10);
        let after = self.random.between(1, if late { 300 } else { 30 });
        self.later(after, Happening::Receipt(sess, ticket, result));
    }

    fn try_to_store(&mut self, outgoing: &Outgoing) -> Result<Stored, PublishError> {
        if mark(outgoing).contains("refused") {
            return Err(PublishError::Refused("by the simulation".into()));
        }
        match self.luck() {
            Luck::Fine => self.store(outgoing),
            Luck::Busy => Err(PublishError::Busy { retry_after: Duration::from_millis(20) }),
            Luck::Unavailable => Err(PublishError::Unavailable("by the simulation".into())),
            Luck::DoubtLost => Err(PublishError::InDoubt("not stored".into())),
            Luck::DoubtStored => {
                let _stored = self.store(outgoing);
                Err(PublishError::InDoubt("stored".into()))
            }
        }
    }

    fn luck(&mut self) -> Luck {
        if self.calm || !self.random.chance(self.settings.broker_trouble) {
            return Luck::Fine;
        }
        *self.random.pick(&[Luck::Busy, Luck::Unavailable, Luck::DoubtLost, Luck::DoubtStored, Luck::DoubtStored])
    }

    /// Stores without failing; consumers see what is new.
    pub(crate) fn store(&mut self, outgoing: &Outgoing) -> Result<Stored, PublishError> {
        let now = self.true_time();
        let (stored, new) = self.broker.store(outgoing, now)?;
        if let Some(record) = new {
            self.check_stored(&record);
            self.spread(&record);
        }
        Ok(stored)
    }
}
