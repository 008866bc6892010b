//! Records to publish, and reading them back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::{
    Backend, Class, Dedup, Headers, Outgoing, PartitionCount, PublishError, Record, Start, TailItem, TailSpec,
    partition_of,
};
use handbell_backend_nats::{NatsBackend, Options, open};
use handbell_protocol::{Envelope, Lane, Namespace, Topic};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Options for these servers that don't wait for ever.
pub(crate) fn options(url: &str) -> Options {
    let mut options = Options::new(vec![url.to_owned()], Namespace::parse("test").unwrap());
    options.patience = Some(Duration::from_secs(20));
    options
}

pub(crate) async fn connect(url: &str) -> NatsBackend {
    open(options(url)).await.unwrap()
}

/// Event number `n` of one of seven keys, with its number as dedup key.
pub(crate) fn event(n: u64) -> Outgoing {
    let text = format!(
        r#"{{"event":{{"id":"evt-{n}","type":"Counted","source":"/a","timestamp":"2026-01-01T00:00:00Z",
        "version":"1.0","correlation_id":"c"}},"payload":{n},"routing":{{"topic":"count.up","partition_key":"k{}"}}}}"#,
        n % 7
    );
    let envelope: Envelope = serde_json::from_str(&text).unwrap();
    let key = envelope.routing.partition_key.clone().unwrap();
    Outgoing {
        class: Class::Ev,
        topic: Topic::parse("count.up").unwrap(),
        partition: partition_of(&key, PartitionCount::default()),
        envelope: Arc::new(envelope),
        headers: Headers::default(),
        dedup: Some(Dedup { key: format!("/a#n/{n}"), digest: Some(n) }),
    }
}

/// Publishes these numbers, each again until it is stored; says how many had
/// to be sent again.
pub(crate) async fn publish_all(backend: &dyn Backend, numbers: impl Iterator<Item = u64>) -> u64 {
    let numbers: Vec<u64> = numbers.collect();
    let mut again = 0;
    for chunk in numbers.chunks(100) {
        let mut left = chunk.to_vec();
        while !left.is_empty() {
            let results = match backend.publish(left.iter().copied().map(event).collect()).await {
                Ok(receipts) => receipts.await,
                Err(error) => vec![Err(error); left.len()],
            };
            let failed = left.iter().zip(&results).filter_map(|(n, result)| match result {
                Ok(_) => None,
                Err(error) => Some((*n, error.clone())),
            });
            let failed: Vec<(u64, PublishError)> = failed.collect();
            if let Some((n, error)) = failed.iter().find(|(_, error)| !error.is_retryable()) {
                panic!("number {n}: {error}");
            }
            again += failed.len() as u64;
            left = failed.into_iter().map(|(n, _)| n).collect();
            if !left.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    again
}

/// A tail of everything.
pub(crate) fn everything(start: Start) -> TailSpec {
    let partitions: BTreeMap<_, _> = PartitionCount::default().iter().map(|p| (p, start.clone())).collect();
    TailSpec { class: Class::Ev, lane: Lane::Regular, topics: vec![], partitions }
}

/// So many records.
pub(crate) async fn read(backend: &dyn Backend, count: usize) -> Vec<Arc<Record>> {
    let opening = async {
        loop {
            match backend.tail(everything(Start::Oldest)).await {
                Ok(tail) => return tail,
                // A stream may be without a leader for a moment.
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    let mut tail = tokio::time::timeout(PATIENCE, opening).await.expect("a tail opens");
    let mut records = Vec::new();
    while records.len() < count {
        match tokio::time::timeout(PATIENCE, tail.next(500)).await.expect("the tail goes on").unwrap() {
            TailItem::Records(more) => records.extend(more),
            TailItem::Level => {}
            TailItem::Trimmed(trimmed) => panic!("nothing was removed: {trimmed:?}"),
        }
    }
    records
}

/// Each number once, and each key's numbers in order as long as they were
/// stored at the first try.
pub(crate) fn assert_each_once(records: &[Arc<Record>], count: u64) {
    let mut numbers: Vec<u64> = records.iter().map(|record| number(record)).collect();
    numbers.sort_unstable();
    let expected: Vec<u64> = (0..count).collect();
    assert_eq!(numbers.len() as u64, count, "records");
    assert!(numbers == expected, "each number once");
}

pub(crate) fn number(record: &Record) -> u64 {
    record.envelope.payload.as_str().parse().unwrap()
}
