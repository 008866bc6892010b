//! The chain keeps itself: an agent that never mentions an ID, killed between
//! its output and its ack again and again, leaves one causation tree and one
//! stored output for each input.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::collections::{BTreeMap, BTreeSet};

use integration_tests::{Agent, Server, delivery_of};
use serde_json::{Value, json};

const DEATHS: usize = 200;
const INPUTS: usize = 10;

fn subscribe(topic: &str, group: &str) -> Value {
    let retry = json!({"max_retries": 1000, "initial_delay": "0ms", "max_delay": "0ms"});
    json!({"op":"subscribe","sub":"s","topics":[topic],"group":group,"from":"start","credit":1,"retry":retry})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_between_output_and_ack_stores_each_output_once() {
    let dir = tempfile::tempdir().unwrap();
    // A session ends with its socket, so that each death costs an attempt.
    let server = Server::start(dir.path(), &["--set", "sidecar.resume_window=1ms"]).await.unwrap();
    let url = &server.agents[0];

    let mut starter = Agent::named(url, "/starter").await.unwrap();
    let mut inputs = Vec::new();
    for n in 1..=INPUTS {
        let frame =
            json!({"op":"publish","seq":n,"event":{"type":"Started"},"payload":n,"routing":{"topic":"work.in"}});
        inputs.push(starter.ask(&frame, "published").await.unwrap()["id"].as_str().unwrap().to_owned());
    }

    let mut deaths = 0;
    let mut done = BTreeSet::new();
    while done.len() < INPUTS {
        let mut worker = Agent::named(url, "/worker").await.unwrap();
        worker.ask(&subscribe("work.in", "workers"), "subscribed").await.unwrap();
        let mut seq = 0;
        loop {
            let input = worker.expect("deliver").await.unwrap();
            seq += 1;
            let output = json!({"op":"publish","seq":seq,"event":{"type":"Done"},"payload":format!("run {deaths}"),
                "routing":{"topic":"work.out"},"cause":delivery_of(&input)});
            worker.ask(&output, "published").await.unwrap();
            if deaths < DEATHS {
                deaths += 1;
                break; // dies: the socket is dropped without a word
            }
            let ack = json!({"op":"ack","deliveries":[delivery_of(&input)],"confirm":true});
            worker.ask(&ack, "settled").await.unwrap();
            done.insert(input["event"]["id"].as_str().unwrap().to_owned());
            if done.len() == INPUTS {
                break;
            }
        }
    }
    assert_eq!(deaths, DEATHS);

    let mut outputs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut auditor = Agent::named(url, "/auditor").await.unwrap();
    let audit = json!({"op":"subscribe","sub":"s","topics":["work.out"],"from":"start","credit":1000,"level":true});
    auditor.ask(&audit, "subscribed").await.unwrap();
    while let Some(frame) = auditor.next().await.unwrap() {
        match frame["op"].as_str().unwrap() {
            "deliver" => {
                let event = &frame["event"];
                assert_eq!(event["correlation_id"], event["causation_id"], "the input starts the chain");
                outputs
                    .entry(event["causation_id"].as_str().unwrap().into())
                    .or_default()
                    .push(event["id"].as_str().unwrap().into());
            }
            "level" => break,
            _ => {}
        }
    }
    for input in &inputs {
        assert_eq!(outputs.get(input).map(Vec::len), Some(1), "outputs of {input}");
    }
    assert_eq!(outputs.len(), INPUTS);
}
