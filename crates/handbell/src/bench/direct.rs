//! The backend called directly, without a sidecar: what everything else is
//! compared with.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use handbell_backend::{
    Backend, Class, Dedup, Headers, Outgoing, PublishError, Start, Stored, Tail, TailItem, TailSpec, partition_of,
};
use handbell_backend_embedded::{EmbeddedLog, Options};
use handbell_protocol::{
    Envelope, Lane, Namespace, Priority, Timestamp, Topic, TopicPattern,
    event::{Event, Routing},
};
use hdrhistogram::Histogram;

use super::{
    figures::{histogram, record},
    load::Load,
    own::TempDir,
    pace::Stamps,
    plan::Plan,
};
use crate::failure::Failure;

/// How many events are published at once where there are as many.
const BATCH: u64 = 128;
/// How many may be unanswered, as in a session.
const WINDOW: u64 = 1_024;

type Waiting = FuturesUnordered<BoxFuture<'static, Vec<Result<Stored, PublishError>>>>;

/// A log of the bench's own.
pub(super) struct Direct {
    log: EmbeddedLog,
    backend: Arc<dyn Backend>,
    next: u64,
    _dir: TempDir,
}

impl Direct {
    /// Opens an empty one.
    pub(super) fn open(plan: &Plan) -> Result<Self, Failure> {
        let dir = TempDir::new(&plan.dir)?;
        let log = EmbeddedLog::open(Options::dir(dir.path().join("log")))
            .map_err(|error| Failure::failed(error.to_string(), "--dir", "name another directory"))?;
        let backend = log.backend(Namespace::default());
        Ok(Self { log, backend, next: 1, _dir: dir })
    }

    /// A reader of all that is published from now on.
    pub(super) async fn tail(&self, load: &Load) -> Result<Box<dyn Tail>, Failure> {
        let partitions: BTreeMap<_, _> =
            self.backend.capabilities().partitions.iter().map(|partition| (partition, Start::New)).collect();
        let topics = vec![TopicPattern::from(&topic(load))];
        let spec = TailSpec { class: Class::Ev, lane: Lane::Regular, topics, partitions };
        self.backend.tail(spec).await.map_err(|error| failed(&error))
    }

    /// Publishes `count` events, as many at a time as the window allows.
    pub(super) async fn saturate(&mut self, load: &Load, count: u64) -> Result<(), Failure> {
        let (mut sent, mut durable, mut waiting) = (0, 0, Waiting::new());
        while durable < count {
            while sent < count && sent - durable < WINDOW {
                let batch = BATCH.min(count - sent);
                self.publish(load, (0..batch).map(|_| Instant::now()), &mut waiting).await?;
                sent += batch;
            }
            durable += answered(waiting.next().await)?;
        }
        Ok(())
    }

    /// Publishes an event for each stamp.
    pub(super) async fn follow(&mut self, load: &Load, mut stamps: Stamps) -> Result<(), Failure> {
        let (mut more, mut waiting) = (true, Waiting::new());
        while more || !waiting.is_empty() {
            tokio::select! {
                due = stamps.next(BATCH as usize), if more => match due {
                    Some(due) => self.publish(load, due.into_iter(), &mut waiting).await?,
                    None => more = false,
                },
                receipts = waiting.next(), if !waiting.is_empty() => { answered(receipts)?; }
            }
        }
        Ok(())
    }

    pub(super) async fn end(self) {
        self.log.close().await;
    }

    async fn publish(
        &mut self,
        load: &Load,
        stamps: impl Iterator<Item = Instant>,
        waiting: &mut Waiting,
    ) -> Result<(), Failure> {
        let partitions = self.backend.capabilities().partitions;
        let batch = stamps.map(|at| {
            self.next += 1;
            let envelope = envelope(load, self.next, at);
            Outgoing {
                class: Class::Ev,
                topic: topic(load),
                partition: partition_of(envelope.routing.partition_key.as_deref().unwrap_or_default(), partitions),
                envelope: Arc::new(envelope),
                headers: Headers::default(),
                dedup: Some(Dedup { key: format!("/bench#direct/{}", self.next), digest: Some(self.next) }),
            }
        });
        let batch = batch.collect();
        waiting.push(self.backend.publish(batch).await.map_err(|error| failed(&error))?);
        Ok(())
    }
}

/// Reads `count` events; gives back how long each was under way.
pub(super) async fn read(mut tail: Box<dyn Tail>, load: Load, count: u64) -> Result<Histogram<u64>, Failure> {
    let (mut taken, mut ages) = (0, histogram());
    while taken < count {
        let TailItem::Records(records) = tail.next(1_024).await.map_err(|error| failed(&error))? else { continue };
        let now = Instant::now();
        taken += records.len() as u64;
        for record_read in &records {
            if let Some(age) = load.age(record_read.envelope.payload.as_bytes(), now) {
                record(&mut ages, age);
            }
        }
    }
    Ok(ages)
}

fn answered(receipts: Option<Vec<Result<Stored, PublishError>>>) -> Result<u64, Failure> {
    let receipts = receipts.unwrap_or_default();
    let count = receipts.len() as u64;
    receipts.into_iter().collect::<Result<Vec<_>, _>>().map(|_| count).map_err(|error| failed(&error))
}

fn topic(load: &Load) -> Topic {
    Topic::parse(&load.topic).expect("the bench's topics have names")
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::failed(error.to_string(), "the backend, called directly", "see the log")
}

fn envelope(load: &Load, number: u64, at: Instant) -> Envelope {
    let id = format!("evt-direct-{number:032}");
    let event = Event {
        correlation_id: id.clone(),
        id,
        event_type: "BenchEvent".into(),
        source: "/bench".into(),
        timestamp: Timestamp::now().into(),
        version: "1.0".into(),
        causation_id: None,
        kind: None,
        extensions: BTreeMap::new(),
    };
    let routing = Routing {
        topic: Some(topic(load)),
        to: None,
        partition_key: Some(format!("k{}", number % load.keys)),
        priority: Priority::Normal,
        hops: 0,
    };
    Envelope { event, payload: load.json(at), routing }
}
