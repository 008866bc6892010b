//! A topic that is shared with a program of another make: a plain NATS client
//! reads what an agent wrote and is read by agents, headers and payload exact.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use handbell_test_support::NatsServer;
use integration_tests::{Agent, PATIENCE, Server, delivery_of};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const TOPIC: &str = "project.tasks";
const SHARED: [&str; 2] = ["--set", r#"topics."project.tasks".shared=true"#];

/// Prints each message of the topic as it comes; publishes what it is told to
/// on its input, one message a line.
const CLIENT: &str = r#"
import asyncio, json, sys, nats

async def main():
    nc = await nats.connect(sys.argv[1])
    async def seen(message):
        print(json.dumps({"subject": message.subject, "headers": dict(message.headers or {}),
                          "data": message.data.decode()}), flush=True)
    await nc.subscribe(sys.argv[2], cb=seen)
    await nc.flush()
    print("ready", flush=True)
    js, loop = nc.jetstream(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        message = json.loads(line)
        await js.publish(sys.argv[2], message["data"].encode(), headers=message.get("headers"))
    await nc.close()

asyncio.run(main())
"#;

/// A program that knows nothing of Handbell.
struct Outside {
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Outside {
    fn start(nats: &NatsServer) -> Self {
        let python = std::env::var("HANDBELL_TEST_NATS_PYTHON").unwrap_or_else(|_| "python3".into());
        let mut command = Command::new(&python);
        command.args(["-c", CLIENT, &nats.url(), TOPIC]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let outside = Self { process, input, lines };
        assert_eq!(outside.line(), "ready");
        outside
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the outside client says something")
    }

    fn seen(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn publish(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
        self.input.flush().unwrap();
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // One that has ended already is as good as killed.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn reader(url: &str, name: &str, subscribe: Value) -> Agent {
    let mut agent = Agent::named(url, name).await.unwrap();
    agent.ask(&subscribe, "subscribed").await.unwrap();
    agent
}

fn work() -> Value {
    json!({"op":"subscribe","sub":"s","topics":["project.*"],"group":"work","from":"start","credit":50})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outside_client_and_agents_read_one_another_with_headers_and_payload_exact() {
    let nats = NatsServer::start().unwrap();
    let one = Server::sidecar(&nats.url(), &SHARED).await.unwrap();
    let two = Server::sidecar(&nats.url(), &SHARED).await.unwrap();
    let mut outside = Outside::start(&nats);
    let mut group = reader(&two.agents[0], "/worker", work()).await;
    let mut all =
        reader(&one.agents[0], "/watcher", json!({"op":"subscribe","sub":"s","topics":[TOPIC],"credit":50})).await;

    // What an agent writes. The payload has what a parser would change.
    let payload = r#"{"ß" : [1.0,  1e2, "\u00e9"],"n":12345678901234567890}"#;
    let mut writer = Agent::named(&one.agents[0], "/writer").await.unwrap();
    let frame = format!(
        r#"{{"op":"publish","seq":1,"event":{{"type":"TaskRequestEvent","correlation_id":"c-1","subject":"Größe 5"}},
        "routing":{{"topic":"{TOPIC}","partition_key":"k","priority":"high"}},"payload":{payload}}}"#
    );
    writer.send_raw(Message::text(frame)).await.unwrap();
    let published = writer.expect("published").await.unwrap();
    let position = published["position"].as_str().unwrap();
    assert!(position.starts_with("p1.shared.regular.0.") && position.ends_with(TOPIC), "{position}");
    let seen = outside.seen();
    assert_eq!((&seen["subject"], &seen["data"]), (&json!(TOPIC), &json!(payload)));
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", published["id"].as_str().unwrap()),
        ("ce-type", "TaskRequestEvent"),
        ("ce-source", "/writer"),
        ("ce-correlationid", "c-1"),
        ("ce-subject", "Gr%C3%B6%C3%9Fe%205"),
        ("ce-partitionkey", "k"),
        ("ce-priority", "high"),
        ("ce-datacontenttype", "application/json"),
    ] {
        assert_eq!(seen["headers"][name], value, "{name} in {seen}");
    }
    for agent in [&mut group, &mut all] {
        let deliver = agent.expect("deliver").await.unwrap();
        assert!(agent.text.contains(payload), "the payload byte for byte: {}", agent.text);
        assert_eq!(deliver["event"]["id"], published["id"]);
        assert_eq!(deliver["routing"]["topic"], TOPIC);
        agent.send(&json!({"op":"ack","deliveries":[delivery_of(&deliver)]})).await.unwrap();
    }

    // What the outside client writes.
    let payload = r#"{"b" : 1,  "a":[ ]}"#;
    let headers = json!({"ce-specversion":"1.0","ce-id":"o-1","ce-type":"Gr%C3%B6%C3%9Fe","ce-source":"/billing",
        "ce-correlationid":"c-9","ce-partitionkey":"k","ce-time":"2026-01-02T03:04:05Z","hb-reply-to":"/writer"});
    outside.publish(&json!({"data": payload, "headers": headers}));
    for agent in [&mut group, &mut all] {
        let deliver = agent.expect("deliver").await.unwrap();
        assert!(agent.text.contains(payload), "the payload byte for byte: {}", agent.text);
        let event = &deliver["event"];
        assert_eq!((&event["id"], &event["type"]), (&json!("o-1"), &json!("Größe")), "{deliver}");
        assert_eq!((&event["source"], &event["correlation_id"]), (&json!("/billing"), &json!("c-9")));
        assert_eq!(event["timestamp"], "2026-01-02T03:04:05Z");
        assert_eq!(deliver["routing"]["partition_key"], "k");
        agent.send(&json!({"op":"ack","deliveries":[delivery_of(&deliver)]})).await.unwrap();
    }
    outside.publish(&json!({"data": "no JSON at all"}));
    for agent in [&mut group, &mut all] {
        let deliver = agent.expect("deliver").await.unwrap();
        assert_eq!((&deliver["payload"], &deliver["event"]["source"]), (&json!("no JSON at all"), &json!("/nats")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarding_goes_on_when_the_sidecar_that_forwards_is_killed() {
    const EVENTS: u64 = 400;
    let nats = NatsServer::start().unwrap();
    let one = Server::sidecar(&nats.url(), &SHARED).await.unwrap();
    let mut two = Server::sidecar(&nats.url(), &SHARED).await.unwrap();
    let mut outside = Outside::start(&nats);
    let mut worker = reader(&one.agents[0], "/worker", work()).await;
    let mut numbers = BTreeSet::new();
    for half in [0..EVENTS / 2, EVENTS / 2..EVENTS] {
        for n in half.clone() {
            outside.publish(
                &json!({"data": n.to_string(), "headers": {"ce-id": n.to_string(), "ce-type": "N", "ce-source": "/o"}}),
            );
        }
        if half.start == 0 {
            // One of the two forwards: the next loop goes on without the second,
            // and the first must take over where it was.
            two.kill().await.unwrap();
        }
        while (numbers.len() as u64) < half.end {
            let deliver = worker.expect("deliver").await.unwrap();
            let n = deliver["payload"].as_u64().unwrap();
            assert!(numbers.insert(n), "number {n} came twice");
            worker.send(&json!({"op":"ack","deliveries":[delivery_of(&deliver)]})).await.unwrap();
        }
        if half.start == 0 {
            two = Server::sidecar(&nats.url(), &SHARED).await.unwrap();
        }
    }
    drop(one);
    drop(two);
}
