//! Publish → deliver on disk, fsynced: how many 256-byte events a second.
//!
//! `cargo run --release -p handbell-backend-embedded --example throughput [DIR [ROW]]`
//! For each row: PUBLISHERS publish batches of BATCH, each waiting for its
//! receipts with at most WINDOW batches under way, while one tail reads all.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use handbell_backend::{Backend, Class, Dedup, Headers, Outgoing, Partition, Receipts, Start, TailItem, TailSpec};
use handbell_backend_embedded::{EmbeddedBackend, EmbeddedLog, Options};
use handbell_protocol::{
    Envelope, Json, Lane, Namespace, Priority, Timestamp, Topic, TopicPattern,
    event::{Event, Routing},
};

const WINDOW: usize = 8;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("handbell-throughput"), PathBuf::from);
    println!("publishers  batch  events     published/s  delivered/s  in order");
    let rows =
        [(1, 1, 20_000), (8, 1, 40_000), (64, 1, 100_000), (1, 100, 400_000), (8, 100, 400_000), (64, 100, 400_000)];
    let only: Option<usize> = std::env::args().nth(2).and_then(|row| row.parse().ok());
    for (publishers, batch, events) in
        rows.into_iter().enumerate().filter(|(n, _)| only.is_none_or(|o| o == *n)).map(|(_, row)| row)
    {
        if dir.exists() {
            std::fs::remove_dir_all(&dir).expect("an old run's directory can be removed");
        }
        let log = EmbeddedLog::open(Options::dir(&dir)).expect("the log opens");
        row(&log.backend(Namespace::default()), publishers, batch, events).await;
        log.close().await;
    }
    std::fs::remove_dir_all(&dir).expect("the directory can be removed");
}

async fn row(backend: &Arc<EmbeddedBackend>, publishers: usize, batch: usize, events: usize) {
    let begin = Instant::now();
    let each = events / publishers / batch;
    let reader = tokio::spawn(deliver(Arc::clone(backend), each * batch * publishers));
    let tasks: Vec<_> = (0..publishers).map(|n| tokio::spawn(publish(Arc::clone(backend), n, each, batch))).collect();
    for task in tasks {
        task.await.expect("a publisher ends");
    }
    let published = begin.elapsed();
    let in_order = reader.await.expect("the reader ends");
    let (sent, delivered) = ((each * batch * publishers) as f64, begin.elapsed());
    println!(
        "{publishers:>10} {batch:>6} {sent:>7} {:>15.0} {:>12.0}  {in_order}",
        sent / published.as_secs_f64(),
        sent / delivered.as_secs_f64()
    );
}

async fn publish(backend: Arc<EmbeddedBackend>, publisher: usize, batches: usize, batch: usize) {
    let payload = format!("\"{}\"", "x".repeat(254));
    let mut under_way: VecDeque<Receipts> = VecDeque::new();
    for n in 0..batches {
        let events = (0..batch).map(|m| event(publisher, n * batch + m, &payload)).collect();
        under_way.push_back(backend.publish(events).await.expect("it is handed over"));
        if under_way.len() >= WINDOW {
            settle(under_way.pop_front()).await;
        }
    }
    for receipts in under_way {
        settle(Some(receipts)).await;
    }
}

async fn settle(receipts: Option<Receipts>) {
    if let Some(receipts) = receipts {
        assert!(receipts.await.iter().all(Result::is_ok), "everything is stored");
    }
}

/// Reads so many events; tells whether each partition's came in order.
async fn deliver(backend: Arc<EmbeddedBackend>, total: usize) -> bool {
    let spec = TailSpec {
        class: Class::Ev,
        lane: Lane::Regular,
        topics: vec![TopicPattern::parse("bench.>").expect("it is a pattern")],
        partitions: (0..32).map(|partition| (Partition(partition), Start::Oldest)).collect(),
    };
    let mut tail = backend.tail(spec).await.expect("the tail opens");
    let (mut count, mut in_order, mut last) = (0, true, BTreeMap::new());
    while count < total {
        if let TailItem::Records(records) = tail.next(1_024).await.expect("it reads on") {
            count += records.len();
            for record in records {
                let key = record.position.partition;
                in_order &= last.insert(key, record.position.offset).is_none_or(|last| last < record.position.offset);
            }
        }
    }
    in_order
}

fn event(publisher: usize, n: usize, payload: &str) -> Outgoing {
    let topic = Topic::parse("bench.events").expect("it is a topic");
    let id = format!("evt-20261121-143000-{publisher:04}{n:012}");
    let envelope = Envelope {
        event: Event {
            correlation_id: id.clone(),
            id,
            event_type: "TaskCompletedEvent".into(),
            source: "/bench".into(),
            timestamp: Timestamp::from_millis(1_763_000_000_000).into(),
            version: "1.0".into(),
            causation_id: None,
            kind: None,
            extensions: BTreeMap::new(),
        },
        payload: Json::from_text(payload.into()).expect("it is JSON"),
        routing: Routing {
            topic: Some(topic.clone()),
            to: None,
            partition_key: None,
            priority: Priority::Normal,
            hops: 0,
        },
    };
    Outgoing {
        class: Class::Ev,
        topic,
        partition: Partition(u16::try_from(publisher % 32).unwrap_or(0)),
        envelope: Arc::new(envelope),
        headers: Headers::default(),
        dedup: Some(Dedup { key: format!("/bench#{publisher}/{n}"), digest: Some(n as u64) }),
    }
}
