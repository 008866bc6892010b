//! Short ways to records, tails and logs.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use handbell_backend::{
    Backend, Class, Dedup, Headers, Outgoing, Partition, PublishError, Record, Start, Stored, Tail, TailItem, TailSpec,
};
use handbell_backend_embedded::{EmbeddedBackend, EmbeddedLog, Options};
use handbell_protocol::{
    Envelope, Json, Lane, Namespace, Priority, Timestamp, Topic, TopicPattern,
    event::{Event, Routing},
};

/// Fails a test that hangs instead of blocking the run; nothing is measured.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it never came")
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

pub(crate) fn pattern(text: &str) -> TopicPattern {
    TopicPattern::parse(text).unwrap()
}

pub(crate) fn envelope(id: &str, on: &str, priority: Priority, payload: &str) -> Envelope {
    Envelope {
        event: Event {
            id: id.into(),
            event_type: "TaskCompletedEvent".into(),
            source: "/tester".into(),
            timestamp: Timestamp::from_millis(1_763_000_000_000).into(),
            version: "1.0".into(),
            correlation_id: id.into(),
            causation_id: None,
            kind: None,
            extensions: BTreeMap::new(),
        },
        payload: Json::from_text(payload.into()).unwrap(),
        routing: Routing { topic: Some(topic(on)), to: None, partition_key: None, priority, hops: 0 },
    }
}

/// A record of class `ev`, regular lane.
pub(crate) fn out(id: &str, on: &str, partition: u16) -> Outgoing {
    Outgoing {
        class: Class::Ev,
        topic: topic(on),
        partition: Partition(partition),
        envelope: Arc::new(envelope(id, on, Priority::Normal, "{\"n\": 1}")),
        headers: Headers::default(),
        dedup: None,
    }
}

pub(crate) fn express(id: &str, on: &str, partition: u16) -> Outgoing {
    let envelope = Arc::new(envelope(id, on, Priority::High, "null"));
    Outgoing { envelope, ..out(id, on, partition) }
}

pub(crate) fn of_class(class: Class, out: Outgoing) -> Outgoing {
    Outgoing { class, ..out }
}

pub(crate) fn with_key(out: Outgoing, key: &str, digest: Option<u64>) -> Outgoing {
    Outgoing { dedup: Some(Dedup { key: key.into(), digest }), ..out }
}

pub(crate) async fn publish(backend: &dyn Backend, batch: Vec<Outgoing>) -> Vec<Result<Stored, PublishError>> {
    soon(backend.publish(batch).await.unwrap()).await
}

/// Publishes one record that must be stored.
pub(crate) async fn stored(backend: &dyn Backend, out: Outgoing) -> Stored {
    publish(backend, vec![out]).await.remove(0).unwrap()
}

pub(crate) fn spec(topics: &[&str], start: &Start) -> TailSpec {
    TailSpec {
        class: Class::Ev,
        lane: Lane::Regular,
        topics: topics.iter().copied().map(pattern).collect(),
        partitions: (0..32).map(|partition| (Partition(partition), start.clone())).collect(),
    }
}

pub(crate) fn ids(records: &[Arc<Record>]) -> Vec<&str> {
    records.iter().map(|record| record.envelope.event.id.as_str()).collect()
}

/// The tail's records up to its level mark; panics at a gap.
pub(crate) async fn until_level(tail: &mut dyn Tail) -> Vec<Arc<Record>> {
    let mut all = Vec::new();
    loop {
        match soon(tail.next(7)).await.unwrap() {
            TailItem::Records(records) => all.extend(records),
            TailItem::Level => return all,
            TailItem::Trimmed(gap) => panic!("{gap:?}"),
        }
    }
}

/// What a new tail of `spec` hands out before it is level.
pub(crate) async fn read(backend: &dyn Backend, spec: TailSpec) -> Vec<Arc<Record>> {
    let mut tail = backend.tail(spec).await.unwrap();
    until_level(&mut *tail).await
}

pub(crate) fn memory() -> (EmbeddedLog, Arc<EmbeddedBackend>) {
    let log = EmbeddedLog::open(Options::memory()).unwrap();
    let backend = log.backend(Namespace::default());
    (log, backend)
}

pub(crate) fn on_disk(dir: &std::path::Path) -> (EmbeddedLog, Arc<EmbeddedBackend>) {
    let log = EmbeddedLog::open(Options::dir(dir)).unwrap();
    let backend = log.backend(Namespace::default());
    (log, backend)
}
