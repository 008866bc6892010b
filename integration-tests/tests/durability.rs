//! `kill -9` while events are being published: nothing acknowledged is lost,
//! and what is sent again is stored once.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::collections::BTreeMap;

use integration_tests::{Agent, Publisher, Server, delivery_of};
use serde_json::json;

const EVENTS: u64 = 10_000;
const KILLS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_published_event_survives_kill_nine_and_resends_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await.unwrap();
    let mut publisher = Publisher::new("/counter", "count.up", EVENTS);
    let mut kills: u64 = 0;
    while !publisher.is_done() {
        let url = server.agents[0].clone();
        if kills == KILLS {
            publisher.run(&url, EVENTS).await.unwrap();
            continue;
        }
        // Each kill falls into the middle of the stream: the publisher goes on
        // sending while the process dies.
        let pause = std::time::Duration::from_millis(100 + 70 * kills);
        let kill = async {
            tokio::time::sleep(pause).await;
            server.signal("KILL").await.unwrap();
        };
        let (run, ()) = tokio::join!(publisher.run(&url, EVENTS), kill);
        run.unwrap();
        kills += 1;
        server.exit_code().await.unwrap();
        server.restart().await.unwrap();
    }
    assert!(!publisher.resent.is_empty(), "no publish was unanswered at a kill");

    let delivered = drain(&server.agents[0], EVENTS).await;
    for (seq, id) in &publisher.published {
        assert_eq!(delivered.get(seq), Some(id), "seq {seq}");
    }
    assert_eq!(delivered.len() as u64, EVENTS);
}

/// Everything on the topic by payload; a payload that comes under two IDs was
/// stored twice.
async fn drain(url: &str, events: u64) -> BTreeMap<u64, String> {
    let mut agent = Agent::named(url, "/auditor").await.unwrap();
    let subscribe = json!({"op":"subscribe","sub":"s","topics":["count.*"],"group":"audit","from":"start","credit":500,"level":true});
    agent.ask(&subscribe, "subscribed").await.unwrap();
    let mut delivered = BTreeMap::new();
    while (delivered.len() as u64) < events {
        let frame = agent.expect("deliver").await.unwrap();
        let n = frame["payload"].as_u64().unwrap();
        let id = frame["event"]["id"].as_str().unwrap().to_owned();
        let first = delivered.insert(n, id.clone());
        assert!(first.is_none(), "payload {n} was stored as {first:?} and as {id}");
        agent.send(&json!({"op":"ack","deliveries":[delivery_of(&frame)]})).await.unwrap();
    }
    let more = agent.has_soon("deliver", std::time::Duration::from_millis(500)).await.unwrap();
    assert!(!more, "more was stored than was published");
    delivered
}
