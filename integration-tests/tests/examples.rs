//! The agents of the README, as they are: each joins a group, acks with an
//! output, and survives a restart of the sidecar.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::{path::PathBuf, process::Stdio};

use anyhow::Context as _;
use integration_tests::{Agent, PATIENCE, Server, delivery_of};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

fn example(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path)
}

/// Python with the `websockets` library: `cargo xtask test` names it.
fn python() -> Command {
    Command::new(std::env::var("HANDBELL_TEST_PYTHON").unwrap_or_else(|_| "python3".into()))
}

/// Node.js with the `ws` library: `cargo xtask test` names where it lies.
fn node() -> Command {
    let mut node = Command::new("node");
    if let Ok(path) = std::env::var("HANDBELL_TEST_NODE_PATH") {
        node.env("NODE_PATH", path);
    }
    node
}

fn start(mut command: Command, script: &str, url: &str) -> Child {
    command
        .arg(example(script))
        .env("HANDBELL_URL", url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{script} can't be started: {error}; cargo xtask test installs what it needs"))
}

async fn stop(mut child: Child) -> anyhow::Result<Option<i32>> {
    let id = child.id().context("the agent has ended by itself")?;
    Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
    Ok(tokio::time::timeout(PATIENCE, child.wait()).await.context("the agent goes on")??.code())
}

async fn approve(url: &str, story: &str) -> Value {
    let mut person = Agent::named(url, "/person").await.unwrap();
    let routing = json!({"topic":"project.stories","partition_key":story});
    let frame = json!({"op":"publish","seq":1,"event":{"type":"UserStoryApproved"},"payload":{"story":story},"routing":routing});
    person.ask(&frame, "published").await.unwrap()
}

/// What no agent expects: neither may die of it.
async fn nonsense(url: &str) {
    let mut person = Agent::named(url, "/person").await.unwrap();
    let odd = [("project.stories", "UserStoryApproved"), ("project.designs", "APIDesignCompleted")];
    let payloads = [json!({"no": "story"}), Value::Null, json!(5)];
    let events = payloads.iter().flat_map(|payload| odd.map(|(topic, event_type)| (topic, event_type, payload)));
    for (seq, (topic, event_type, payload)) in (1..).zip(events) {
        let frame =
            json!({"op":"publish","seq":seq,"event":{"type":event_type},"payload":payload,"routing":{"topic":topic}});
        person.ask(&frame, "published").await.unwrap();
    }
}

/// A group reads from when it is made: a story must wait until both are there.
async fn wait_for_groups(server: &Server, groups: &[&str]) {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, body) = integration_tests::get(&server.admin, "/api/v1/groups").await.unwrap();
        assert_eq!(status, 200, "{body}");
        if groups.iter().all(|group| body.contains(group)) {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "not all of {groups:?} are there: {body}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Waits until the story's build is done; the build's event.
async fn built(url: &str, story: &Value) -> Value {
    let mut auditor = Agent::named(url, "/auditor").await.unwrap();
    let subscribe = json!({"op":"subscribe","sub":"s","topics":["project.builds"],"from":"start"});
    auditor.ask(&subscribe, "subscribed").await.unwrap();
    loop {
        let frame = auditor.expect("deliver").await.unwrap();
        auditor.send(&json!({"op":"ack","deliveries":[delivery_of(&frame)]})).await.unwrap();
        if frame["event"]["correlation_id"] == story["id"] {
            return frame;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agents_of_the_readme_work_together_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["--sidecars", "2"]).await.unwrap();
    let designer = start(python(), "python/agent.py", &server.agents[0]);
    let frontend = start(node(), "javascript/agent.js", &server.agents[1]);

    wait_for_groups(&server, &["designers", "frontends"]).await;
    nonsense(&server.agents[0]).await;
    let story = approve(&server.agents[0], "list items").await;
    let build = built(&server.agents[0], &story).await;
    assert_eq!(build["event"]["type"], "ImplementationCompletedEvent");
    assert_eq!(build["event"]["source"], "/frontend");

    server.kill().await.unwrap();
    server.restart().await.unwrap();
    let story = approve(&server.agents[1], "sort items").await;
    let build = built(&server.agents[0], &story).await;
    assert_eq!(build["event"]["type"], "ImplementationCompletedEvent");

    assert_eq!(stop(designer).await.unwrap(), Some(0));
    assert_eq!(stop(frontend).await.unwrap(), Some(0));
}
