//! Going away with work in flight: unstarted deliveries go on elsewhere with
//! no attempt counted, nothing is lost, a second SIGTERM ends at once.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::{collections::BTreeMap, time::Duration};

use integration_tests::{Agent, Server, delivery_of, post};
use serde_json::{Value, json};

const EVENTS: u64 = 200;

fn subscribe(credit: u32) -> Value {
    json!({"op":"subscribe","sub":"s","topics":["work.*"],"group":"workers","from":"start","credit":credit})
}

async fn publish(url: &str) {
    let mut starter = Agent::named(url, "/starter").await.unwrap();
    for n in 1..=EVENTS {
        let routing = json!({"topic":"work.todo","partition_key":format!("k{n}")});
        let frame = json!({"op":"publish","seq":n,"event":{"type":"Todo"},"payload":n,"routing":routing});
        starter.ask(&frame, "published").await.unwrap();
    }
}

/// Receives and acks until `wanted` payloads are done; their attempts.
async fn work(agent: &mut Agent, done: &mut BTreeMap<u64, u64>, wanted: u64) {
    while (done.len() as u64) < wanted {
        let frame = agent.expect("deliver").await.unwrap();
        let n = frame["payload"].as_u64().unwrap();
        let twice = done.insert(n, frame["attempt"].as_u64().unwrap());
        assert!(twice.is_none(), "{n} was delivered again after its ack");
        agent.ask(&json!({"op":"ack","deliveries":[delivery_of(&frame)],"confirm":true}), "settled").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_sidecar_hands_its_unstarted_work_to_the_other_uncounted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--sidecars", "2"]).await.unwrap();
    let mut first = Agent::named(&server.agents[0], "/one").await.unwrap();
    first.ask(&subscribe(20), "subscribed").await.unwrap();
    publish(&server.agents[0]).await;
    // The first holds what its credit allows and starts only one of them.
    let started = first.expect("deliver").await.unwrap();

    let mut second = Agent::named(&server.agents[1], "/two").await.unwrap();
    second.ask(&subscribe(20), "subscribed").await.unwrap();
    let drain = post(&server.admin, "/drain?sidecar=1");
    let leave = async {
        let goaway = first.expect("goaway").await.unwrap();
        assert!(goaway["grace_ms"].as_u64().unwrap() > 0);
        let mut held = vec![];
        while first.has_soon("deliver", Duration::from_millis(200)).await.unwrap() {}
        held.push(delivery_of(&started));
        // The started one is finished, the others are given back.
        let ack = json!({"op":"ack","deliveries":held,"confirm":true});
        first.ask(&ack, "settled").await.unwrap();
        first.send(&json!({"op":"bye"})).await.unwrap();
        first.close_code().await.unwrap();
    };
    let (drained, ()) = tokio::join!(drain, leave);
    assert!((200..300).contains(&drained.unwrap().0));

    let mut done = BTreeMap::new();
    work(&mut second, &mut done, EVENTS - 1).await;
    assert!(!done.contains_key(&started["payload"].as_u64().unwrap()));
    assert!(done.values().all(|attempt| *attempt == 1), "attempts were counted: {done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_sigterm_and_a_restart_unstarted_work_comes_uncounted() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["--set", "sidecar.drain=2s"]).await.unwrap();
    let mut agent = Agent::named(&server.agents[0], "/one").await.unwrap();
    agent.ask(&subscribe(20), "subscribed").await.unwrap();
    publish(&server.agents[0]).await;
    let mut done = BTreeMap::new();
    work(&mut agent, &mut done, 50).await;
    let mut held = vec![delivery_of(&agent.expect("deliver").await.unwrap())];
    server.terminate().await.unwrap();
    agent.expect("goaway").await.unwrap();
    while let Ok(Ok(frame)) = tokio::time::timeout(Duration::from_millis(100), agent.expect("deliver")).await {
        held.push(delivery_of(&frame));
    }
    agent.ask(&json!({"op":"release","deliveries":held,"confirm":true}), "settled").await.unwrap();
    agent.send(&json!({"op":"bye"})).await.unwrap();
    assert_eq!(server.exit_code().await.unwrap(), Some(0));

    server.restart().await.unwrap();
    let mut agent = Agent::named(&server.agents[0], "/one").await.unwrap();
    agent.ask(&subscribe(20), "subscribed").await.unwrap();
    work(&mut agent, &mut done, EVENTS).await;
    assert!(done.values().all(|attempt| *attempt == 1), "attempts were counted: {done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_exits_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["--set", "sidecar.drain=10m"]).await.unwrap();
    let mut agent = Agent::named(&server.agents[0], "/one").await.unwrap();
    server.terminate().await.unwrap();
    agent.expect("goaway").await.unwrap();
    assert!(!server.ends_within(Duration::from_millis(500)).await, "it waits for its agent");
    server.terminate().await.unwrap();
    server.exit_code().await.unwrap();
}
