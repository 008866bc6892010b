//! `pub`, `sub`, `request`, `respond` against a running `dev`.
#![allow(clippy::unwrap_used, reason = "a test")]

mod harness;

use std::process::Stdio;

use harness::{Dev, Lines, code, handbell, text};
use serde_json::{Value, json};

fn lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_was_published_is_there_for_sub_and_ends_when_it_has_caught_up() {
    let dev = Dev::start(&[]);
    let published = dev.publish("project.tasks", "TaskStartedEvent", r#"{"n": 1e400}"#);
    assert_eq!((published["op"].as_str(), published["duplicate"].as_bool()), (Some("published"), Some(false)));
    dev.publish("other", "X", "1");

    let output = dev.agent(&["sub", "project.*", "-o", "json"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(r#""payload":{"n": 1e400}"#), "payloads stay as written");
    let output = dev.agent(&["sub", "project.*", "-o", "name"]);
    assert_eq!(text(&output.stdout), published["id"].as_str().unwrap());
    let output = dev.agent(&["sub", ">", "-o", "json", "--filter", "type=X"]);
    assert_eq!(lines(&output.stdout)[0]["routing"]["topic"], "other");
}

#[test]
fn a_group_keeps_what_it_has_taken_and_a_look_takes_nothing() {
    let dev = Dev::start(&["--ephemeral"]);
    for n in 0..5 {
        dev.publish("t", "E", &n.to_string());
    }
    let sub = |more: &[&str]| {
        let output = dev.agent(&[&["sub", "t", "--group", "g", "--from", "start"], more].concat());
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        text(&output.stdout).lines().count()
    };
    assert_eq!(sub(&[]), 5);
    // What one command hands back may still be on its way when the next one looks.
    let take = |count: usize, more: &[&str]| {
        let mut taken = 0;
        while taken < count {
            taken += sub(&[more, &["--limit", &(count - taken).to_string()]].concat());
        }
    };
    take(2, &["--ack"]);
    take(3, &["-o", "json"]);
    assert_eq!(sub(&["-o", "json"]), 0);
}

#[test]
fn a_request_is_answered_by_a_command() {
    let dev = Dev::start(&["--ephemeral"]);
    let mut responder = handbell(&["respond", "--agent", "/upper", "--once", "--", "tr", "a-z", "A-Z"])
        .env("HANDBELL_URL", &dev.agents[0])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let answer = loop {
        let output = dev.agent(&["request", "/upper", r#"{"a":"b"}"#]);
        match text(&output.stderr).contains("nobody is there") {
            true => continue,
            false => break output,
        }
    };
    assert_eq!(code(&answer), 0, "{}", text(&answer.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&answer.stdout).unwrap(), json!({"A": "B"}));
    assert!(responder.wait().unwrap().success());
}

#[test]
fn a_command_that_fails_leaves_no_session() {
    let dev = Dev::start(&["--ephemeral"]);
    for (arguments, exit) in [
        (["pub", "handbell.x", "--type", "T"].as_slice(), 3),
        (&["request", "/nobody"], 1),
        (&["sub", "t", "--filter", "type=E", "--from", "p1.wrong"], 1),
    ] {
        let output = dev.agent(arguments);
        assert_eq!(code(&output), exit, "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&dev.look(&["agent", "list"]).stdout), "none", "{arguments:?}");
    }
}

#[test]
fn an_answer_goes_out_as_the_command_printed_it() {
    let dev = Dev::start(&["--ephemeral"]);
    let mut command = handbell(&["respond", "--agent", "/echo", "--", "cat"]);
    command.env("HANDBELL_URL", &dev.agents[0]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut responder = command.spawn().unwrap();
    let _told = Lines::of(responder.stderr.take().unwrap());
    while !text(&dev.look(&["agent", "list", "-o", "name"]).stdout).contains("/echo") {}
    let answers = [r#"{"text":"hi \ud83c"}"#, "[12345678901234567890123,1e400]"]
        .map(|payload| (payload, dev.agent(&["request", "/echo", payload])));
    let yaml = dev.agent(&["request", "/echo", "1e400", "-o", "yaml"]);
    responder.kill().unwrap();
    responder.wait().unwrap();
    for (payload, output) in answers {
        assert_eq!(text(&output.stdout), payload, "{}", text(&output.stderr));
    }
    assert!(text(&yaml.stdout).contains("payload: 1e400"), "{}", text(&yaml.stderr));
}

#[test]
fn what_no_terminal_shows_is_never_cut() {
    let dev = Dev::start(&["--ephemeral"]);
    let long = format!("\"{}\"", "x".repeat(500));
    dev.publish("t", "E", &long);
    assert!(text(&dev.agent(&["sub", "t"]).stdout).contains(&long));
    assert!(text(&dev.look(&["event", "list", "-o", "wide"]).stdout).contains(&"x".repeat(500)));
}

#[test]
fn nobody_there_and_an_error_are_exit_1() {
    let dev = Dev::start(&["--ephemeral"]);
    let output = dev.agent(&["request", "/nobody", "--deadline", "2s"]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("nobody is there as /nobody"), "{}", text(&output.stderr));
}

#[test]
fn a_scope_and_a_token_are_told_with_exit_3() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "/cli right\n").unwrap();
    let tokens = format!("agents.tokens_file={}", tokens.display());
    let dev = Dev::start(&["--ephemeral", "--set", &tokens, "--set", r#"agents.scopes."/cli".publish=["a"]"#]);

    let right = folder.path().join("right");
    std::fs::write(&right, "right\n").unwrap();
    let publish = |topic: &str, token: Option<&str>| {
        let mut command = handbell(&["pub", topic, "--type", "T", "-o", "json"]);
        command.env("HANDBELL_URL", &dev.agents[0]);
        token.map(|token| command.env("HANDBELL_TOKEN_FILE", token));
        command.output().unwrap()
    };
    let right = right.display().to_string();
    assert_eq!(code(&publish("a", Some(&right))), 0);
    let output = publish("b", Some(&right));
    assert_eq!(code(&output), 3);
    let told: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(told["what"].as_str().unwrap().starts_with("forbidden_topic"), "{told}");
    let output = publish("a", None);
    assert_eq!(code(&output), 3);
    assert!(text(&output.stderr).contains("no token was sent"), "{}", text(&output.stderr));
}

#[test]
fn a_subscription_goes_on_over_a_restart_of_the_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("handbell.sock").display());
    let dev = Dev::start(&["--listen", &socket]);
    assert_eq!(dev.agents, [socket.as_str()]);
    dev.publish("t", "First", "1");
    let mut follower = handbell(&["sub", "t", "--group", "g", "--from", "start", "-f", "--limit", "2", "-o", "json"])
        .env("HANDBELL_URL", &dev.agents[0])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = Lines::of(follower.stdout.take().unwrap());
    assert!(printed.next().unwrap().contains("First"));

    dev.signal("-TERM");
    let (status, folder) = dev.wait();
    assert!(status.success());
    let dev = Dev::start_in(folder, &["--listen", &socket]);
    dev.publish("t", "Second", "2");
    let second = printed.next();
    if second.is_none() {
        follower.kill().unwrap();
    }
    assert!(second.unwrap().contains("Second"));
    assert!(follower.wait().unwrap().success());
}
