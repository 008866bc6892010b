//! `dev` as a process, and what operators ask of it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod harness;

use std::process::Stdio;

use harness::{Dev, Lines, code, handbell, run, text};
use serde_json::Value;

#[test]
fn what_was_published_can_be_looked_at() {
    let dev = Dev::start(&[]);
    let first = dev.publish("project.tasks", "TaskStartedEvent", r#"{"task_id":"T1"}"#);
    dev.publish("project.tasks", "TaskCompletedEvent", "{}");
    let id = first["id"].as_str().unwrap();

    let list = dev.look(&["event", "list", "-o", "json"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let types: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["event"]["type"]).collect();
    assert_eq!(types, ["TaskStartedEvent", "TaskCompletedEvent"]);
    assert_eq!(text(&dev.look(&["event", "list", "--correlation", id, "-o", "name"]).stdout), id);
    assert_eq!(text(&dev.look(&["event", "list", "-l", "type=TaskCompleted"]).stdout).lines().count(), 2);
    assert!(text(&dev.look(&["event", "show", id]).stdout).contains("task_id: T1"));
    assert_eq!(code(&dev.look(&["event", "show", "evt-none"])), 1);

    let topics = text(&dev.look(&["topic", "list"]).stdout);
    assert!(topics.starts_with("TOPIC") && topics.contains("project.tasks"), "{topics}");
    assert_eq!(text(&dev.look(&["topic", "list", "-o", "name"]).stdout), "project.tasks");
    assert_eq!(text(&dev.look(&["agent", "list"]).stdout), "none");
    let version: Value = serde_json::from_slice(&dev.look(&["version", "-o", "json"]).stdout).unwrap();
    assert_eq!(version["skew"], false);
}

#[test]
fn an_unusual_payload_is_shown_as_it_was_written() {
    let dev = Dev::start(&["--ephemeral"]);
    let odd = [r#"{"text":"hi \ud83c"}"#, "1e400", "[12345678901234567890123]"];
    let ids = odd.map(|payload| dev.publish("t", "E", payload)["id"].as_str().unwrap().to_owned());
    let list = text(&dev.look(&["event", "list", "-o", "json"]).stdout);
    let names = text(&dev.look(&["event", "list", "-o", "name"]).stdout);
    assert_eq!(names.lines().collect::<Vec<_>>(), ids);
    for (payload, id) in odd.iter().zip(&ids) {
        let payload = format!("\"payload\":{payload}");
        assert!(list.contains(&payload), "{list}");
        let shown = dev.look(&["event", "show", id, "-o", "json"]);
        assert!(text(&shown.stdout).contains(&payload), "{}", text(&shown.stderr));
        assert_eq!(code(&dev.look(&["event", "show", id])), 0);
    }
    assert!(text(&dev.look(&["event", "show", &ids[1]]).stdout).contains("payload: 1e400"));
    let yaml = dev.agent(&["sub", "t", "-o", "yaml"]);
    assert!(text(&yaml.stdout).contains("payload: 1e400"), "{}", text(&yaml.stdout));
}

#[test]
fn a_variable_with_the_other_sides_address_is_not_used() {
    let dev = Dev::start(&["--ephemeral"]);
    let listen = format!("sidecar.listen={}", dev.agents[0].trim_start_matches("ws://").trim_end_matches("/v1/ws"));
    let output = dev.look(&["pub", "t", "--type", "T", "--set", &listen]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("HANDBELL_URL"));
    let output = dev.look(&["pub", "t", "--type", "T", "--set", &listen, "-v"]);
    assert!(text(&output.stderr).contains("HANDBELL_URL is not used"), "{}", text(&output.stderr));
}

#[test]
fn a_group_is_listed_with_its_settings() {
    let dev = Dev::start(&["--ephemeral", "--set", "retry.max_retries=7"]);
    dev.publish("t", "E", "1");
    assert_eq!(code(&dev.agent(&["sub", "t", "--group", "g", "--from", "start", "-o", "json"])), 0);
    let groups: Value = serde_json::from_slice(&dev.look(&["group", "list", "-o", "json"]).stdout).unwrap();
    assert_eq!(groups["items"][0]["group"], "g");
    assert_eq!(groups["items"][0]["topics"][0], "t");
    assert_eq!(
        groups["items"][0]["retry"]["max_retries"], 7,
        "the configuration's policy, as the subscription has none"
    );
    assert!(text(&dev.look(&["group", "show", "g"]).stdout).contains("order: key"));
}

#[test]
fn the_first_signal_drains_and_the_exit_code_is_0() {
    let dev = Dev::start(&["--ephemeral"]);
    dev.signal("-TERM");
    assert_eq!(dev.wait().0.code(), Some(0));
    let dev = Dev::start(&["--ephemeral"]);
    dev.signal("-INT");
    assert_eq!(dev.wait().0.code(), Some(0));
}

#[test]
fn a_drain_waits_for_work_in_flight_and_a_second_signal_does_not() {
    let dev = Dev::start(&["--ephemeral", "--set", "sidecar.drain=1h"]);
    let mut command = handbell(&["respond", "--agent", "/slow", "--", "sh", "-c", "echo begun >&2; sleep 600"]);
    command.env("HANDBELL_URL", &dev.agents[0]).stderr(Stdio::piped());
    let mut responder = command.spawn().unwrap();
    let told = Lines::of(responder.stderr.take().unwrap());
    assert!(told.next().unwrap().contains("/slow"));
    assert_eq!(code(&dev.agent(&["pub", "--to", "/slow", "--type", "WorkCommand"])), 0);
    assert_eq!(told.next().as_deref(), Some("begun"));

    dev.signal("-TERM");
    while dev.http("GET", "/readyz", "").0 == 200 {}
    assert_eq!(dev.http("GET", "/livez", "").0, 200, "it waits for the one that works");
    dev.signal("-TERM");
    assert_eq!(dev.wait().0.code(), Some(130));
    responder.kill().unwrap();
    responder.wait().unwrap();
}

#[test]
fn one_of_two_sidecars_drains_and_the_other_serves_on() {
    let dev = Dev::start(&["--ephemeral", "--sidecars", "2"]);
    assert_eq!(dev.agents.len(), 2);
    assert_eq!(dev.http("GET", "/readyz", "").0, 200);
    assert_eq!(dev.http("POST", "/drain", "").0, 400);
    assert_eq!(dev.http("POST", "/drain?sidecar=3", "").0, 404);
    assert_eq!(dev.http("GET", "/drain?sidecar=1", "").0, 405);
    assert_eq!(dev.http("POST", "/drain?sidecar=1", "").0, 202);
    let (status, body) = dev.http("GET", "/readyz", "");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!((&health["sidecars"][0]["ready"], &health["sidecars"][1]["ready"]), (&false.into(), &true.into()));
    let output = run(&["pub", "t", "--type", "T", "--url", &dev.agents[1]]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(dev.http("POST", "/drain?sidecar=2", "").0, 202);
    assert_eq!(dev.wait().0.code(), Some(0), "when every sidecar is drained, dev is done");
}

#[test]
fn probes_metrics_and_the_page_answer_and_foreign_pages_do_not_get_in() {
    let dev = Dev::start(&["--ephemeral"]);
    for target in ["/", "/livez", "/readyz", "/api/v1/openapi.json", "/api/v1/overview"] {
        assert_eq!(dev.http("GET", target, "").0, 200, "{target}");
    }
    let (_, metrics) = dev.http("GET", "/metrics", "");
    assert!(metrics.contains("handbell_sidecar_ready{sidecar=\"1\"} 1"), "{metrics}");
    assert_eq!(dev.http("GET", "/livez", "Host: evil.example\r\n").0, 403);
    assert_eq!(dev.http("GET", "/livez", "Origin: https://evil.example\r\n").0, 403);
    let (status, body) = dev.http("GET", "/api/v1/nothing", "");
    assert_eq!(status, 404);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["title"], "Not Found");
    assert_eq!(dev.http("GET", "/api/v1/events?limit=0", "").0, 400);
    assert_eq!(dev.http("GET", "/api/v1/topics?limt=1", "").0, 400);
}

#[test]
fn roles_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "viewer look\noperator act alice\n").unwrap();
    let tokens = format!("admin.tokens_file={}", tokens.display());
    let dev = Dev::start(&["--ephemeral", "--set", &tokens]);
    assert_eq!(dev.http("GET", "/livez", "").0, 200);
    assert_eq!(dev.http("GET", "/api/v1/topics", "").0, 401);
    assert_eq!(dev.http("GET", "/api/v1/topics", "Authorization: Bearer look\r\n").0, 200);
    assert_eq!(dev.http("POST", "/drain?sidecar=1", "Authorization: Bearer look\r\n").0, 403);
    assert_eq!(code(&dev.look(&["topic", "list"])), 3);
    assert_eq!(dev.http("POST", "/drain?sidecar=1", "Authorization: Bearer act\r\n").0, 202);
}

#[test]
fn a_taken_port_and_a_log_in_use_are_exit_1_and_name_key_and_flag() {
    let dev = Dev::start(&[]);
    let address = dev.agents[0].strip_prefix("ws://").unwrap().strip_suffix("/v1/ws").unwrap();
    let output = run(&["dev", "--ephemeral", "--admin", "127.0.0.1:0", "--listen", address]);
    assert_eq!(code(&output), 1);
    let told = text(&output.stderr);
    assert!(told.contains("sidecar.listen") && told.contains("--listen") && told.contains(address), "{told}");

    let admin = dev.admin.strip_prefix("http://").unwrap();
    let output = run(&["dev", "--ephemeral", "--admin", admin, "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("admin.listen (--admin)"));

    let data = dev.folder.path().join("log").display().to_string();
    let output = run(&["dev", "--data", &data, "--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--json"]);
    assert_eq!(code(&output), 1);
    let told = text(&output.stderr);
    assert!(told.contains("backend.embedded.dir") && told.contains(&data), "{told}");
}

#[test]
fn a_wrong_configuration_is_exit_2_with_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, "version: 1\nsidecar:\n  drain: 20\n").unwrap();
    let file = file.display().to_string();
    for command in [["config", "check"].as_slice(), &["dev"], &["topic", "list"]] {
        let output = run(&[command, &["--config", &file, "-o", "json"]].concat());
        assert_eq!(code(&output), 2);
        let told: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(told["where"], format!("{file}:3: sidecar.drain"));
        assert!(told["how"].as_str().unwrap().contains("250ms"), "{told}");
    }
}

#[test]
fn the_embedded_log_is_for_dev() {
    let output = run(&["sidecar"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("handbell dev"));
}

#[test]
fn the_wrong_address_is_told_as_such() {
    let dev = Dev::start(&["--ephemeral"]);
    assert_eq!(code(&dev.agent(&["topic", "list", "--url", &dev.agents[0]])), 2);
    assert_eq!(code(&dev.look(&["pub", "t", "--type", "T", "--url", &dev.admin])), 2);
    let agents_port = dev.agents[0].replacen("ws://", "http://", 1).replacen("/v1/ws", "", 1);
    let output = run(&["topic", "list", "--url", &agents_port]);
    assert_eq!(code(&output), 4);
    assert!(text(&output.stderr).contains("the admin's address"), "{}", text(&output.stderr));
    let mut nowhere = handbell(&["pub", "t", "--type", "T", "--url", "ws://127.0.0.1:1"]);
    assert_eq!(code(&nowhere.output().unwrap()), 4);
}
