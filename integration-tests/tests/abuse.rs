//! Agents that do what they may not: the right code each, a reason a person
//! understands, nothing lost, nobody else disturbed.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::time::Duration;

use integration_tests::{Agent, Server, delivery_of};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn server(dir: &tempfile::TempDir) -> Server {
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "/bad secret-bad\n/good secret-good\n/victim secret-victim\n").unwrap();
    let config = dir.path().join("handbell.yaml");
    std::fs::write(
        &config,
        format!(
            "version: 1\nagents:\n  tokens_file: {}\n  scopes:\n    /bad: {{publish: [open.>], subscribe: [open.>]}}\n    /good: {{publish: [open.>], subscribe: [open.>]}}\n    /victim: {{publish: [open.>], subscribe: [open.>]}}\n",
            tokens.display()
        ),
    )
    .unwrap();
    Server::start(&dir.path().join("data"), &["--config", config.to_str().unwrap()]).await.unwrap()
}

fn hello(name: &str) -> Value {
    json!({"agent": format!("/{name}"), "token": format!("secret-{name}")})
}

fn publish(seq: u64, event: Value, routing: Value) -> Value {
    json!({"op":"publish","seq":seq,"event":event,"payload":seq,"routing":routing})
}

async fn refused(agent: &mut Agent, frame: Value, op: &str, code: &str) -> Value {
    agent.send(&frame).await.unwrap();
    let answer = agent.next().await.unwrap().unwrap_or_else(|| panic!("{frame} closed the socket"));
    assert_eq!((answer["op"].as_str(), answer["code"].as_str()), (Some(op), Some(code)), "{frame}: {answer}");
    assert!(answer["reason"].as_str().unwrap().len() > 15, "a reason for a person: {answer}");
    answer
}

/// A good agent that works before, during and after.
async fn still_works(good: &mut Agent, seq: u64) {
    let routing = json!({"topic":"open.good"});
    let published = good.ask(&publish(seq, json!({"type":"X"}), routing), "published").await.unwrap();
    assert_eq!((&published["seq"], &published["duplicate"]), (&json!(seq), &json!(false)));
    let delivered = good.expect("deliver").await.unwrap();
    assert_eq!(delivered["payload"], json!(seq));
    let ack = json!({"op":"ack","deliveries":[delivery_of(&delivered)],"confirm":true});
    good.ask(&ack, "settled").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_may_not_do_has_its_code_and_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir).await;
    let url = &server.agents[0];
    let mut good = Agent::hello(url, hello("good")).await.unwrap();
    let subscribe = json!({"op":"subscribe","sub":"s","topics":["open.good"],"group":"good"});
    good.ask(&subscribe, "subscribed").await.unwrap();
    still_works(&mut good, 1).await;

    let mut bad = Agent::hello(url, hello("bad")).await.unwrap();
    let open = || json!({"topic":"open.x"});
    let ok = bad.ask(&publish(1, json!({"type":"X"}), open()), "published").await.unwrap();
    assert_eq!(ok["duplicate"], false);

    refused(&mut bad, publish(2, json!({"type":"X","source":"/good"}), open()), "rejected", "forbidden_source").await;
    let closed = json!({"topic":"closed.x"});
    refused(&mut bad, publish(3, json!({"type":"X"}), closed), "rejected", "forbidden_topic").await;
    refused(&mut bad, json!({"op":"fly"}), "error", "protocol").await;
    refused(&mut bad, json!({"op":"credit","sub":"","add":-1}), "error", "protocol").await;
    bad.send_raw(Message::Text(r#"{"op":"credit","sub":"","add":18446744073709551616}"#.into())).await.unwrap();
    let answer = bad.next().await.unwrap().unwrap();
    assert_eq!((&answer["op"], &answer["code"]), (&json!("error"), &json!("protocol")));
    refused(&mut bad, publish(1, json!({"type":"Y"}), open()), "rejected", "duplicate_seq").await;
    refused(&mut bad, publish(9, json!({"type":"X"}), open()), "rejected", "seq_gap").await;

    let again = bad.ask(&publish(1, json!({"type":"X"}), open()), "published").await.unwrap();
    assert_eq!((&again["duplicate"], &again["id"]), (&json!(true), &ok["id"]));
    assert_eq!(bad.ask(&publish(4, json!({"type":"X"}), open()), "published").await.unwrap()["duplicate"], false);
    still_works(&mut good, 2).await;

    // An ack for someone else's delivery.
    let next = publish(3, json!({"type":"X"}), json!({"topic":"open.good"}));
    good.ask(&next, "published").await.unwrap();
    let theirs = good.expect("deliver").await.unwrap();
    let gone = bad.ask(&json!({"op":"ack","deliveries":[delivery_of(&theirs)]}), "gone").await.unwrap();
    assert_eq!(gone["delivery"], theirs["delivery"]);
    let ack = json!({"op":"ack","deliveries":[delivery_of(&theirs)],"confirm":true});
    good.ask(&ack, "settled").await.unwrap();

    for (message, code) in
        [(Message::Text("x".repeat(2 << 20).into()), 1009), (Message::Binary(b"{}".to_vec().into()), 1003)]
    {
        let mut bad = Agent::hello(url, hello("bad")).await.unwrap();
        bad.send_raw(message).await.unwrap();
        assert_eq!(bad.close_code().await.unwrap(), Some(code));
    }
    still_works(&mut good, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_is_checked_before_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir).await;
    let url = &server.agents[0];
    let victim = Agent::hello(url, hello("victim")).await.unwrap();
    let mut stolen = hello("bad");
    stolen["resume"] = victim.resume();
    let mut broken = hello("bad");
    broken["resume"] = json!("opaque");
    for wrong in [stolen, broken, json!({"agent":"/bad"}), json!({"agent":"/bad","token":"secret-good"})] {
        let mut bad = Agent::connect(url).await.unwrap();
        let mut frame = wrong.clone();
        frame["op"] = json!("hello");
        bad.send(&frame).await.unwrap();
        let answer = bad.next().await.unwrap().unwrap();
        assert_eq!((&answer["op"], &answer["code"]), (&json!("error"), &json!("unauthorized")), "{wrong}");
        assert_eq!(bad.close_code().await.unwrap(), Some(1008), "{wrong}");
    }
    let mut early = Agent::connect(url).await.unwrap();
    early.send(&publish(1, json!({"type":"X"}), json!({"topic":"open.x"}))).await.unwrap();
    assert_eq!(early.next().await.unwrap().unwrap()["op"], "error");
    assert_eq!(early.close_code().await.unwrap(), Some(1008));

    // A rotated token ends its sessions, and only those.
    let mut victim = victim;
    let mut good = Agent::hello(url, hello("good")).await.unwrap();
    std::fs::write(dir.path().join("tokens"), "/good secret-good\n/victim fresh\n").unwrap();
    victim.expect("goaway").await.unwrap();
    assert_eq!(victim.close_code().await.unwrap(), Some(1008));
    assert!(!good.has_soon("goaway", Duration::from_millis(300)).await.unwrap());
    Agent::hello(url, json!({"agent":"/victim","token":"fresh"})).await.unwrap();
}
