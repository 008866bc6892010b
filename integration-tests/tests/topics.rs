//! What docs/protocol.md says of topics, over real sockets: requests on a
//! topic, reserved topics, and reasons that name the member.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use integration_tests::{Agent, Server, delivery_of};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_who_settles_a_request_on_a_topic_answers_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]).await.unwrap();
    let url = &server.agents[0];
    let mut caller = Agent::named(url, "/caller").await.unwrap();
    let mut readers = Vec::new();
    for group in ["g1", "g2"] {
        let mut reader = Agent::named(url, &format!("/{group}")).await.unwrap();
        let subscribe = json!({"op":"subscribe","sub":"s","topics":["q.*"],"group":group});
        reader.ask(&subscribe, "subscribed").await.unwrap();
        readers.push(reader);
    }
    let request = json!({"op":"request","seq":1,"call":"c1","event":{"type":"Q"},"routing":{"topic":"q.x"}});
    caller.ask(&request, "published").await.unwrap();
    let mut deliveries = Vec::new();
    for reader in &mut readers {
        let delivery = reader.expect("deliver").await.unwrap();
        assert_eq!(delivery["call"], "c1");
        deliveries.push(delivery_of(&delivery));
    }
    let bare = json!({"op":"ack","deliveries":[deliveries[0]],"confirm":true});
    readers[0].ask(&bare, "settled").await.unwrap();
    let late = json!({"op":"respond","delivery":deliveries[1],"payload":2});
    readers[1].ask(&late, "gone").await.unwrap();
    let reply = caller.expect("reply").await.unwrap();
    assert_eq!((&reply["status"], &reply["payload"]), (&json!("ok"), &json!(null)));

    let request = json!({"op":"request","seq":2,"call":"c2","deadline":"1ms","event":{"type":"Q"},
        "routing":{"topic":"nobody.reads"}});
    caller.ask(&request, "published").await.unwrap();
    assert_eq!(caller.expect("reply").await.unwrap()["status"], "timeout", "no_responders isn't told for a topic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reserved_topics_are_read_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let scopes = r#"agents.scopes."/a"={publish=[">"],subscribe=["handbell.*"]}"#;
    let server = Server::start(&dir.path().join("data"), &["--set", scopes]).await.unwrap();
    let mut agent = Agent::named(&server.agents[0], "/a").await.unwrap();
    let subscribe = |sub: &str, topic: &str| json!({"op":"subscribe","sub":sub,"topics":[topic]});
    agent.ask(&subscribe("s1", "handbell.*"), "subscribed").await.unwrap();
    let error = agent.ask(&subscribe("s2", ">"), "error").await.unwrap();
    assert_eq!(error["code"], "forbidden_topic", "a scope rules it as any other topic");
    let publish = json!({"op":"publish","seq":1,"event":{"type":"T"},"routing":{"topic":"handbell.x"}});
    assert_eq!(agent.ask(&publish, "rejected").await.unwrap()["code"], "forbidden_topic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_names_the_member() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]).await.unwrap();
    let mut agent = Agent::named(&server.agents[0], "/a").await.unwrap();
    let error = agent.ask(&json!({"op":"subscribe","sub":1,"topics":["t"]}), "error").await.unwrap();
    assert_eq!(error["reason"], "sub must be text, not the number 1; put it in quotes");
    assert_eq!((&error["code"], &error["op_ref"]), (&json!("protocol"), &json!("subscribe")));
}
