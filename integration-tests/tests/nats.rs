//! Two sidecars, each a process of its own, over one real nats-server: they
//! share the work, and when one is killed the other takes over.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use handbell_test_support::NatsServer;
use integration_tests::{Agent, Publisher, Server, delivery_of, get};
use serde_json::json;

const EVENTS: u64 = 2_000;
const PORTION: u64 = 40;

/// A member of the group, and what it was told is settled.
struct Worker {
    agent: Agent,
    /// Payloads by the deliveries that are acked.
    acked: BTreeMap<String, u64>,
    settled: BTreeSet<u64>,
    delivered: Vec<u64>,
}

impl Worker {
    async fn join(url: &str, name: &str) -> Self {
        let mut agent = Agent::named(url, name).await.unwrap();
        let subscribe =
            json!({"op":"subscribe","sub":"s","topics":["count.*"],"group":"work","from":"start","credit":50});
        agent.ask(&subscribe, "subscribed").await.unwrap();
        Self { agent, acked: BTreeMap::new(), settled: BTreeSet::new(), delivered: Vec::new() }
    }

    /// Takes one frame, if one comes within a moment.
    async fn work(&mut self) -> bool {
        let Ok(frame) = tokio::time::timeout(Duration::from_millis(200), self.agent.next()).await else {
            return false;
        };
        let Some(frame) = frame.unwrap() else { return false };
        match frame["op"].as_str() {
            Some("deliver") => {
                let (delivery, n) = (delivery_of(&frame), frame["payload"].as_u64().unwrap());
                self.delivered.push(n);
                self.acked.insert(delivery.clone(), n);
                self.agent.send(&json!({"op":"ack","deliveries":[delivery],"confirm":true})).await.unwrap();
            }
            Some("settled") => {
                for delivery in frame["deliveries"].as_array().unwrap() {
                    self.settled.extend(self.acked.remove(delivery.as_str().unwrap()));
                }
            }
            _ => {}
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sidecars_share_a_groups_work_and_one_takes_over_when_the_other_is_killed() {
    let nats = NatsServer::start().unwrap();
    let one = Server::sidecar(&nats.url(), &[]).await.unwrap();
    let mut two = Server::sidecar(&nats.url(), &[]).await.unwrap();
    let mut stays = Worker::join(&one.agents[0], "/stays").await;
    let mut goes = Worker::join(&two.agents[0], "/goes").await;
    let mut publisher = Publisher::new("/counter", "count.up", EVENTS);

    // Partitions move to the one that came last; then both have some.
    let until = tokio::time::Instant::now() + integration_tests::PATIENCE;
    while stays.settled.is_empty() || goes.settled.is_empty() {
        assert!(tokio::time::Instant::now() < until, "one of the two got nothing");
        let of = |worker: &Worker| (worker.delivered.len(), worker.settled.len());
        assert!(!publisher.is_done(), "delivered and settled: {:?} and {:?} of {EVENTS}", of(&stays), of(&goes));
        publisher.run(&one.agents[0], PORTION).await.unwrap();
        while {
            let (one, two) = tokio::join!(stays.work(), goes.work());
            one || two
        } {}
    }
    publisher.run(&one.agents[0], PORTION).await.unwrap();
    two.kill().await.unwrap();
    publisher.run(&one.agents[0], EVENTS).await.unwrap();
    assert!(publisher.is_done(), "{} of {EVENTS} are published", publisher.published.len());

    let until = tokio::time::Instant::now() + integration_tests::PATIENCE;
    // What the dead one had acked and wasn't answered may be settled or come again.
    let in_doubt: BTreeSet<u64> = goes.acked.values().copied().collect();
    let done = |stays: &Worker| {
        (1..=EVENTS).all(|n| [&stays.settled, &goes.settled, &in_doubt].iter().any(|s| s.contains(&n)))
    };
    while !done(&stays) {
        assert!(tokio::time::Instant::now() < until, "{} are settled", stays.settled.len() + goes.settled.len());
        stays.work().await;
    }
    // What the dead one was told is settled never came again; nothing came twice to the other.
    let both: Vec<_> = stays.settled.intersection(&goes.settled).collect();
    assert!(both.is_empty(), "settled at the dead sidecar and delivered again: {both:?}");
    let distinct: BTreeSet<_> = stays.delivered.iter().collect();
    assert_eq!(distinct.len(), stays.delivered.len(), "delivered twice to one that acked each");
    // A key's numbers came in order.
    for key in 0..7 {
        let row: Vec<_> = stays.delivered.iter().filter(|n| **n % 7 == key).collect();
        assert!(row.is_sorted(), "key {key} out of order: {row:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_finds_an_agent_at_another_sidecar() {
    let nats = NatsServer::start().unwrap();
    let one = Server::sidecar(&nats.url(), &[]).await.unwrap();
    let two = Server::sidecar(&nats.url(), &[]).await.unwrap();
    let mut asks = Agent::named(&one.agents[0], "/asks").await.unwrap();
    let mut answers = Agent::named(&two.agents[0], "/answers").await.unwrap();
    let request = json!({"op":"request","seq":1,"call":"c","deadline":"30s","routing":{"to":"/answers"},
        "event":{"type":"HelpRequestEvent"},"payload":"how long is a page?"});
    asks.send(&request).await.unwrap();
    let deliver = answers.expect("deliver").await.unwrap();
    assert_eq!(deliver["payload"], "how long is a page?");
    answers.send(&json!({"op":"respond","delivery":delivery_of(&deliver),"payload":50})).await.unwrap();
    let reply = asks.expect("reply").await.unwrap();
    assert_eq!((&reply["status"], &reply["payload"]), (&json!("ok"), &json!(50)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecars_own_address_has_probes_and_nothing_else() {
    let nats = NatsServer::start().unwrap();
    let mut sidecar = Server::sidecar(&nats.url(), &[]).await.unwrap();
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/api/v1/topics", 404), ("/", 404)] {
        assert_eq!(get(&sidecar.admin, path).await.unwrap().0, status, "{path}");
    }
    sidecar.terminate().await.unwrap();
    assert_eq!(sidecar.exit_code().await.unwrap(), Some(0));
}
