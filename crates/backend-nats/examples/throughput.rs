//! Publish → deliver over NATS beside the plain client, in alternating rounds
//! on one server: how many 256-byte events a second, at the same durability.
//!
//! `cargo run --release -p handbell-backend-nats --example throughput URL [ROUNDS]`
//! Each round publishes with a window of 1,024 unanswered messages while one
//! reader takes them all; each side writes streams of its own.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Client, HeaderMap};
use futures_util::{StreamExt, stream::FuturesUnordered};
use handbell_backend::{
    Backend, Class, Dedup, Headers, Outgoing, Partition, PartitionCount, Start, TailItem, TailSpec,
};
use handbell_backend_nats::{NatsBackend, Options, open};
use handbell_protocol::{Envelope, Json, Lane, Namespace, Topic};
use serde_json::json;

const EVENTS: usize = 100_000;
const WINDOW: usize = 1_024;
const BATCH: usize = 64;

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("give the URL of a server with JetStream that nobody needs")?;
    let rounds: usize = arguments.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        ours.push(handbell(&url, round).await?);
        plain.push(client(&url, round).await?);
        println!("round {round}: handbell {:.0}/s, plain client {:.0}/s", ours[round], plain[round]);
    }
    let (ours, plain) = (median(ours), median(plain));
    println!("median: handbell {ours:.0}/s, plain client {plain:.0}/s, ratio {:.2}", ours / plain);
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Through the backend: envelopes, dedup keys, receipts, one tail.
async fn handbell(url: &str, round: usize) -> Result<f64, Failed> {
    let namespace = Namespace::parse(&format!("bench-{}-{round}", std::process::id()))?;
    let backend = Arc::new(open(Options::new(vec![url.to_owned()], namespace)).await?);
    let events = (0..EVENTS).map(event).collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    let reader = tokio::spawn(read(Arc::clone(&backend)));
    let mut under_way = FuturesUnordered::new();
    for batch in events.chunks(BATCH) {
        under_way.push(backend.publish(batch.to_vec()).await?);
        while under_way.len() * BATCH >= WINDOW
            && let Some(receipts) = under_way.next().await
        {
            receipts.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
    }
    while let Some(receipts) = under_way.next().await {
        receipts.into_iter().collect::<Result<Vec<_>, _>>()?;
    }
    reader.await??;
    let rate = EVENTS as f64 / begun.elapsed().as_secs_f64();
    backend.close().await;
    Ok(rate)
}

async fn read(backend: Arc<NatsBackend>) -> Result<(), Failed> {
    let partitions: BTreeMap<Partition, Start> = PartitionCount::default().iter().map(|p| (p, Start::Oldest)).collect();
    let spec = TailSpec { class: Class::Ev, lane: Lane::Regular, topics: vec![], partitions };
    let mut tail = backend.tail(spec).await?;
    let mut count = 0;
    while count < EVENTS {
        if let TailItem::Records(records) = tail.next(256).await? {
            count += records.len();
        }
    }
    Ok(())
}

fn event(n: usize) -> Result<Outgoing, Failed> {
    let text = format!(
        r#"{{"event":{{"id":"evt-{n}","type":"TaskCompletedEvent","source":"/a","timestamp":"2026-01-01T00:00:00Z",
        "version":"1.0","correlation_id":"evt-{n}"}},"payload":null,"routing":{{"topic":"bench.t","partition_key":"k{}"}}}}"#,
        n % 64
    );
    let mut envelope: Envelope = serde_json::from_str(&text)?;
    envelope.payload = Json::from_text(format!("\"{}\"", "x".repeat(254)))?;
    Ok(Outgoing {
        class: Class::Ev,
        topic: Topic::parse("bench.t")?,
        partition: Partition(u16::try_from(n % 32)?),
        envelope: Arc::new(envelope),
        headers: Headers::default(),
        dedup: Some(Dedup { key: format!("/a#bench/{n}"), digest: Some(n as u64) }),
    })
}

/// The plain client: the same payload with a message ID, window and reader alike.
async fn client(url: &str, round: usize) -> Result<f64, Failed> {
    let client = async_nats::connect(url).await?;
    let name = format!("plain-{}-{round}", std::process::id());
    let config = json!({ "name": name, "subjects": [format!("{name}.>")], "storage": "file",
        "num_replicas": 1, "duplicate_window": 120_000_000_000_u64 });
    client.request(format!("$JS.API.STREAM.CREATE.{name}"), config.to_string().into()).await?;
    let begun = Instant::now();
    let reader = tokio::spawn(read_plain(client.clone(), name.clone()));
    let mut under_way = FuturesUnordered::new();
    for n in 0..EVENTS {
        let (client, subject) = (client.clone(), format!("{name}.{}.bench.t", n % 32));
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("/a#bench/{n}"));
        let payload = format!("\"{}\"", "x".repeat(254));
        under_way.push(async move { client.request_with_headers(subject, headers, payload.into()).await });
        while under_way.len() >= WINDOW
            && let Some(answer) = under_way.next().await
        {
            answer?;
        }
    }
    while let Some(answer) = under_way.next().await {
        answer?;
    }
    reader.await??;
    Ok(EVENTS as f64 / begun.elapsed().as_secs_f64())
}

async fn read_plain(client: Client, stream: String) -> Result<(), Failed> {
    let config = json!({ "stream_name": stream, "config": { "name": "r", "ack_policy": "none",
        "deliver_policy": "all", "replay_policy": "instant", "mem_storage": true,
        "inactive_threshold": 60_000_000_000_u64 } });
    client.request(format!("$JS.API.CONSUMER.CREATE.{stream}.r"), config.to_string().into()).await?;
    let inbox = client.new_inbox();
    let mut messages = client.subscribe(inbox.clone()).await?;
    let (mut count, mut asked) = (0, 0);
    while count < EVENTS {
        if asked < count + 128 {
            let body = json!({ "batch": 256, "expires": 30_000_000_000_u64 }).to_string();
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.r");
            client.publish_with_reply(subject, inbox.clone(), body.into()).await?;
            asked += 256;
        }
        let message = tokio::time::timeout(Duration::from_secs(60), messages.next()).await?.ok_or("it ended")?;
        count += usize::from(message.status.is_none());
    }
    Ok(())
}
