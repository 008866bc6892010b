//! Events of the simulation: what consumers will do with each, and what has
//! become of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use handbell_backend::{Headers, Partition, Position, header};
use handbell_protocol::{
    Envelope, Json, Kind, Lane, Priority, Topic,
    event::{Event as Attributes, Routing},
};

/// What a consumer does with a delivery, so many milliseconds after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Ack(u64),
    Nack {
        after: u64,
        class: &'static str,
        delay: Option<u64>,
    },
    Reject(u64),
    Release(u64),
    /// Extends its lease, then acks.
    Extend {
        after: u64,
        lease: u64,
        ack: u64,
    },
    Silent,
    /// The consumer dies of it.
    KillConsumer(u64),
    /// The whole process dies of it.
    KillProcess(u64),
}

/// An event and everything that the checker knows of it.
pub(crate) struct Event {
    pub(crate) key: Option<String>,
    pub(crate) lane: Lane,
    pub(crate) partition: Partition,
    pub(crate) kind: Kind,
    pub(crate) filtered: bool,
    pub(crate) expiry: Option<u64>,
    /// What its deliveries meet, in order; beyond the last: `then`.
    pub(crate) script: VecDeque<Act>,
    pub(crate) then: Act,
    pub(crate) origin: Option<Position>,
    /// The same as text.
    pub(crate) origin_text: String,
    /// A consumer refused it, or let its lease end.
    pub(crate) mistreated: bool,
    pub(crate) deliveries: u32,
    /// Failures that were seen: nacks, rejects, ended leases, lost consumers.
    pub(crate) failures: u32,
    /// Of these, lost consumers.
    pub(crate) lost: u32,
    /// The lowest attempt that its next delivery may have.
    pub(crate) attempt: u32,
    pub(crate) not_before: u64,
    /// Who acked a valid delivery.
    pub(crate) acked_by: Option<usize>,
    pub(crate) ack_settled: bool,
    /// Some valid delivery was acked, stored or not.
    pub(crate) ever_acked: bool,
}

/// What is published.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) key: Option<String>,
    pub(crate) priority: Priority,
    pub(crate) kind: Kind,
    pub(crate) filtered: bool,
    pub(crate) expiry: Option<u64>,
    pub(crate) partition: Partition,
    pub(crate) script: Vec<Act>,
    pub(crate) then: Act,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            key: None,
            priority: Priority::Normal,
            kind: Kind::Event,
            filtered: false,
            expiry: None,
            partition: Partition(0),
            script: vec![],
            then: Act::Ack(1),
        }
    }
}

impl Spec {
    pub(crate) fn keyed(key: &str) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }

    pub(crate) fn script(mut self, script: impl IntoIterator<Item = Act>) -> Self {
        self.script = script.into_iter().collect();
        self
    }

    pub(crate) fn then(mut self, act: Act) -> Self {
        self.then = act;
        self
    }

    pub(crate) fn on(mut self, partition: u16) -> Self {
        self.partition = Partition(partition);
        self
    }

    pub(crate) fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    pub(crate) fn event(&self) -> Event {
        Event {
            key: self.key.clone(),
            lane: self.priority.lane(),
            partition: self.partition,
            kind: self.kind,
            filtered: self.filtered,
            expiry: self.expiry,
            script: self.script.iter().cloned().collect(),
            then: self.then.clone(),
            origin: None,
            origin_text: String::new(),
            mistreated: false,
            deliveries: 0,
            failures: 0,
            lost: 0,
            attempt: 1,
            not_before: 0,
            acked_by: None,
            ack_settled: false,
            ever_acked: false,
        }
    }

    pub(crate) fn envelope(&self, index: usize, now: u64) -> Arc<Envelope> {
        let id = format!("evt-{index}");
        let event_type = if self.filtered { "OtherEvent" } else { "TaskEvent" };
        Arc::new(Envelope {
            event: Attributes {
                correlation_id: id.clone(),
                id,
                event_type: event_type.into(),
                source: "/tester".into(),
                timestamp: super::time(now).into(),
                version: "1.0".into(),
                causation_id: None,
                kind: Some(self.kind),
                extensions: BTreeMap::new(),
            },
            payload: Json::default(),
            routing: Routing {
                topic: Some(self.topic()),
                to: None,
                partition_key: self.key.clone(),
                priority: self.priority,
                hops: 0,
            },
        })
    }

    pub(crate) fn topic(&self) -> Topic {
        Topic::parse("project.tasks").expect("a topic")
    }

    pub(crate) fn headers(&self) -> Headers {
        let headers = Headers::default();
        match self.expiry {
            Some(at) => headers.with(header::EXPIRY, super::time(at).to_string()),
            None => headers,
        }
    }
}

/// Which event a record is.
pub(crate) fn index_of(envelope: &Envelope) -> usize {
    envelope.event.id.trim_start_matches("evt-").parse().expect("the simulation made it")
}
