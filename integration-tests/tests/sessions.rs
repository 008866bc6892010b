//! Sessions over real sockets: resume, requests across sidecars, pools, `all`.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::time::Duration;

use integration_tests::{Agent, Server, delivery_of};
use serde_json::{Value, json};

async fn two_sidecars() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &["--sidecars", "2"]).await.unwrap();
    (dir, server)
}

fn publish(seq: u64, routing: Value) -> Value {
    json!({"op":"publish","seq":seq,"event":{"type":"Told"},"payload":seq,"routing":routing})
}

async fn with_resume(url: &str, name: &str, resume: Value) -> Agent {
    Agent::hello(url, json!({"agent": name, "resume": resume})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_lost_and_resumed_is_the_same_session() {
    let (_dir, server) = two_sidecars().await;
    let url = &server.agents[0];
    let mut agent = Agent::named(url, "/a").await.unwrap();
    let subscribe = json!({"op":"subscribe","sub":"s","topics":["t"],"group":"g"});
    agent.ask(&subscribe, "subscribed").await.unwrap();
    let routing = json!({"topic":"t","partition_key":"k"});
    agent.ask(&publish(1, routing.clone()), "published").await.unwrap();
    let first = agent.expect("deliver").await.unwrap();
    let (resume, session) = (agent.resume(), agent.welcome["session"].clone());
    drop(agent);

    let mut agent = with_resume(url, "/a", resume).await;
    assert_eq!((&agent.welcome["resumed"], &agent.welcome["session"]), (&json!(true), &session));
    let again = agent.expect("deliver").await.unwrap();
    assert_eq!((&again["delivery"], &again["attempt"]), (&first["delivery"], &json!(1)));
    let told = agent.ask(&publish(1, routing), "published").await.unwrap();
    assert_eq!(told["duplicate"], true);
    let ack = json!({"op":"ack","deliveries":[delivery_of(&again)],"confirm":true});
    agent.ask(&ack, "settled").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_on_another_sidecar_goes_on_with_the_producer_and_counts_the_attempt() {
    let (_dir, server) = two_sidecars().await;
    let mut agent = Agent::named(&server.agents[0], "/a").await.unwrap();
    let subscribe = json!({"op":"subscribe","sub":"s","topics":["t"],"group":"g","retry":{"initial_delay":"0ms"}});
    agent.ask(&subscribe, "subscribed").await.unwrap();
    let first = agent.ask(&publish(1, json!({"topic":"t"})), "published").await.unwrap();
    agent.expect("deliver").await.unwrap();
    let (resume, producer) = (agent.resume(), agent.welcome["producer"].clone());

    let mut moved = with_resume(&server.agents[1], "/a", resume).await;
    assert_eq!((&moved.welcome["resumed"], &moved.welcome["producer"]), (&json!(false), &producer));
    assert_eq!(agent.close_code().await.unwrap(), Some(1008));
    let again = moved.ask(&publish(1, json!({"topic":"t"})), "published").await.unwrap();
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    moved.ask(&subscribe, "subscribed").await.unwrap();
    assert_eq!(moved.expect("deliver").await.unwrap()["attempt"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_crosses_sidecars_and_the_first_answer_wins() {
    let (_dir, server) = two_sidecars().await;
    let mut helper = Agent::named(&server.agents[1], "/helper").await.unwrap();
    let mut caller = Agent::named(&server.agents[0], "/caller").await.unwrap();
    let request = json!({"op":"request","seq":1,"call":"c1","event":{"type":"HelpRequestEvent"},"payload":{"q":1},"routing":{"to":"/helper"}});
    caller.ask(&request, "published").await.unwrap();
    let work = helper.expect("deliver").await.unwrap();
    assert_eq!((&work["sub"], &work["call"]), (&json!(""), &json!("c1")));
    let respond = json!({"op":"respond","delivery":delivery_of(&work),"payload":{"a":2},"confirm":true});
    helper.ask(&respond, "settled").await.unwrap();
    let reply = caller.expect("reply").await.unwrap();
    assert_eq!((&reply["call"], &reply["status"], &reply["payload"]), (&json!("c1"), &json!("ok"), &json!({"a":2})));
    assert_eq!(reply["event"]["source"], "/helper");
    assert_eq!(reply["event"]["correlation_id"], work["event"]["correlation_id"]);
    let late = helper.ask(&respond, "gone").await.unwrap();
    assert_eq!(late["delivery"], work["delivery"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_waits_for_a_caller_that_was_away() {
    let (_dir, server) = two_sidecars().await;
    let mut helper = Agent::named(&server.agents[1], "/helper").await.unwrap();
    let mut caller = Agent::named(&server.agents[0], "/caller").await.unwrap();
    let request =
        json!({"op":"request","seq":1,"call":"c1","event":{"type":"HelpRequestEvent"},"routing":{"to":"/helper"}});
    caller.ask(&request, "published").await.unwrap();
    let resume = caller.resume();
    drop(caller);
    let work = helper.expect("deliver").await.unwrap();
    let respond = json!({"op":"respond","delivery":delivery_of(&work),"payload":7,"confirm":true});
    helper.ask(&respond, "settled").await.unwrap();
    let mut caller = with_resume(&server.agents[1], "/caller", resume).await;
    assert_eq!(caller.expect("reply").await.unwrap()["payload"], 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_is_told_to_a_caller_that_has_moved_and_its_responder_works_in_vain() {
    let (_dir, server) = two_sidecars().await;
    let mut helper = Agent::named(&server.agents[1], "/helper").await.unwrap();
    let mut caller = Agent::named(&server.agents[0], "/caller").await.unwrap();
    for (seq, default) in [(1, Value::Null), (2, json!({"plan": "b"}))] {
        let mut request = json!({"op":"request","seq":seq,"call":format!("c{seq}"),"deadline":"1500ms",
            "event":{"type":"AskQuery"},"routing":{"to":"/helper"}});
        if !default.is_null() {
            request["default"] = default;
        }
        caller.ask(&request, "published").await.unwrap();
    }
    let resume = caller.resume();
    drop(caller);
    let work = [helper.expect("deliver").await.unwrap(), helper.expect("deliver").await.unwrap()];
    // Another sidecar, and a session that never made these calls.
    let mut caller = with_resume(&server.agents[1], "/caller", resume).await;
    for _ in 0..2 {
        let reply = caller.expect("reply").await.unwrap();
        let (status, payload) = match reply["call"].as_str().unwrap() {
            "c1" => ("timeout", Value::Null),
            _ => ("default", json!({"plan": "b"})),
        };
        assert_eq!((&reply["status"], &reply["payload"]), (&json!(status), &payload));
    }
    let mut vain = [helper.expect("cancelled").await.unwrap(), helper.expect("cancelled").await.unwrap()];
    vain.sort_by_key(|frame| frame["delivery"] != work[0]["delivery"]);
    assert_eq!([&vain[0]["delivery"], &vain[1]["delivery"]], [&work[0]["delivery"], &work[1]["delivery"]]);
    let respond = json!({"op":"respond","delivery":delivery_of(&work[0]),"payload":1});
    helper.ask(&respond, "gone").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_in_time_stands_although_its_caller_comes_back_after_the_deadline() {
    let (_dir, server) = two_sidecars().await;
    let mut helper = Agent::named(&server.agents[1], "/helper").await.unwrap();
    for back in 0..2 {
        let name = format!("/caller-{back}");
        let mut caller = Agent::named(&server.agents[0], &name).await.unwrap();
        let request = json!({"op":"request","seq":1,"call":"c1","deadline":"1s","event":{"type":"AskQuery"},"routing":{"to":"/helper"}});
        caller.ask(&request, "published").await.unwrap();
        let resume = caller.resume();
        drop(caller);
        let work = helper.expect("deliver").await.unwrap();
        let respond = json!({"op":"respond","delivery":delivery_of(&work),"payload":7,"confirm":true});
        helper.ask(&respond, "settled").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let mut caller = with_resume(&server.agents[back], &name, resume).await;
        let reply = caller.expect("reply").await.unwrap();
        assert_eq!((&reply["status"], &reply["payload"]), (&json!("ok"), &json!(7)), "back on {back}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_sidecar_still_hands_out_answers() {
    let (_dir, server) = two_sidecars().await;
    let mut helper = Agent::named(&server.agents[1], "/helper").await.unwrap();
    let mut caller = Agent::named(&server.agents[0], "/caller").await.unwrap();
    let request = json!({"op":"request","seq":1,"call":"c1","event":{"type":"AskQuery"},"routing":{"to":"/helper"}});
    caller.ask(&request, "published").await.unwrap();
    let work = helper.expect("deliver").await.unwrap();
    let admin = server.admin.clone();
    let drain = tokio::spawn(async move { integration_tests::post(&admin, "/drain?sidecar=1").await });
    caller.expect("goaway").await.unwrap();
    let respond = json!({"op":"respond","delivery":delivery_of(&work),"payload":7,"confirm":true});
    helper.ask(&respond, "settled").await.unwrap();
    assert_eq!(caller.expect("reply").await.unwrap()["payload"], 7);
    caller.send(&json!({"op":"bye"})).await.unwrap();
    assert!((200..300).contains(&drain.await.unwrap().unwrap().0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_and_a_cancelled_call_are_told() {
    let (_dir, server) = two_sidecars().await;
    let mut helper = Agent::named(&server.agents[1], "/helper").await.unwrap();
    let mut caller = Agent::named(&server.agents[0], "/caller").await.unwrap();
    let ask = |seq: u64, to: &str| json!({"op":"request","seq":seq,"call":format!("c{seq}"),"event":{"type":"AskQuery"},"routing":{"to":to}});
    caller.ask(&ask(1, "/nobody"), "published").await.unwrap();
    assert_eq!(caller.expect("reply").await.unwrap()["status"], "no_responders");
    caller.ask(&ask(2, "/helper"), "published").await.unwrap();
    let work = helper.expect("deliver").await.unwrap();
    caller.send(&json!({"op":"cancel","call":"c2"})).await.unwrap();
    assert_eq!(caller.expect("reply").await.unwrap()["status"], "cancelled");
    assert_eq!(helper.expect("cancelled").await.unwrap()["delivery"], work["delivery"]);
    let respond = json!({"op":"respond","delivery":delivery_of(&work)});
    helper.ask(&respond, "gone").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_share_their_work_and_all_reaches_each_agent_once() {
    let (_dir, server) = two_sidecars().await;
    let member = |name: &str| json!({"agent": name, "pools": ["builders"], "credit": 1});
    let mut one = Agent::hello(&server.agents[0], member("/one")).await.unwrap();
    let mut two = Agent::hello(&server.agents[1], member("/two")).await.unwrap();
    let mut boss = Agent::named(&server.agents[0], "/boss").await.unwrap();
    for seq in 1..=2 {
        boss.ask(&publish(seq, json!({"to":"pool:builders"})), "published").await.unwrap();
    }
    // With a credit of one each, neither can have both.
    let (first, second) = (one.expect("deliver").await.unwrap(), two.expect("deliver").await.unwrap());
    assert_ne!(first["payload"], second["payload"]);
    for (agent, work) in [(&mut one, &first), (&mut two, &second)] {
        agent.ask(&json!({"op":"ack","deliveries":[delivery_of(work)],"confirm":true}), "settled").await.unwrap();
    }
    boss.ask(&publish(3, json!({"to":"all"})), "published").await.unwrap();
    for agent in [&mut one, &mut two] {
        assert_eq!(agent.expect("deliver").await.unwrap()["payload"], 3);
    }
    assert!(!boss.has_soon("deliver", Duration::from_millis(300)).await.unwrap());
}
