//! What an impatient newcomer types: wrong values, nobody there, closed pipes.
//! Every error says what, where and how to mend it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod harness;

use std::process::{Output, Stdio};

use harness::{Dev, Lines, code, handbell, run, text};
use serde_json::Value;

/// The error as a program gets it, all its parts said.
fn told(output: &Output) -> Value {
    let told: Value =
        serde_json::from_slice(&output.stderr).unwrap_or_else(|_| panic!("no error: {}", text(&output.stderr)));
    for part in ["what", "where", "how"] {
        assert!(told[part].as_str().is_some_and(|text| !text.is_empty()), "{part} is missing: {told}");
    }
    told
}

#[test]
fn a_wrong_value_is_exit_2_before_anybody_is_asked() {
    for (arguments, place) in [
        (["sub", "t", "--limit", "0"].as_slice(), "--limit"),
        (&["event", "list", "--limit", "0"], "--limit"),
        (&["topic", "list", "--limit", "0"], "--limit"),
        (&["sub", "t", "--filter", "x==("], "--filter"),
        (&["sub", "a b"], "TOPIC"),
        (&["pub", "t", "--type", "T", "--correlation", ""], "--correlation"),
        (&["pub", "t", "--type", ""], "--type"),
        (&["pub", "t", "--type", "T", "hello"], "PAYLOAD"),
        (&["request", "/a", "--deadline", "0ms"], "--deadline"),
        (&["request", "/a", "--deadline", "25h"], "--deadline"),
        (&["request", "/a", "--deadline", "5x"], "--deadline"),
        (&["dev", "--sidecars", "65"], "--sidecars"),
        (&["topic", "list", "-l", "zz"], "--filter"),
        (&["topic", "list", "-l", "bogus=1"], "--filter"),
        (&["group", "list", "-l", "bogus=1"], "--filter"),
        (&["topic", "list", "-n", "other"], "--namespace"),
        (&["pub", "t", "--type", "T", "-n", "other"], "--namespace"),
        (&["request", "all"], "AGENT"),
        (&["topic"], "arguments"),
        (&["topc", "list"], "arguments"),
    ] {
        let output = run(&[arguments, &["-o", "json"]].concat());
        assert_eq!(code(&output), 2, "{arguments:?}: {}", text(&output.stderr));
        assert!(told(&output)["where"].as_str().unwrap().contains(place), "{arguments:?}: {}", text(&output.stderr));
    }
    let output = run(&["respond", "-o", "json", "--", "/no/such/program"]);
    assert_eq!((code(&output), &told(&output)["where"]), (2, &"COMMAND".into()));
}

#[test]
fn what_a_running_one_refuses_says_where_and_how() {
    let dev = Dev::start(&["--ephemeral"]);
    for noun in ["topic", "agent", "group", "event"] {
        let output = dev.look(&[noun, "show", "nope", "-o", "json"]);
        assert_eq!(code(&output), 1);
        assert_eq!(told(&output)["where"], dev.admin.as_str(), "{noun}");
    }
    let output = dev.agent(&["request", "/nobody", "1", "-o", "json"]);
    assert_eq!(code(&output), 1);
    assert_eq!(told(&output)["where"], dev.agents[0].as_str());
    assert!(text(&output.stdout).contains("no_responders"));
    let output = dev.agent(&["request", "/nobody", "1"]);
    assert_eq!(text(&output.stdout), "", "no answer is no payload");
    assert_eq!(code(&dev.agent(&["sub", "t", "--group", "g"])), 0);
    let output = dev.agent(&["sub", "u", "--group", "g", "-o", "json"]);
    assert_eq!(code(&output), 1);
    assert!(told(&output)["what"].as_str().unwrap().starts_with("group_mismatch"));
}

#[test]
fn a_reserved_topic_can_be_watched_and_not_published_on() {
    let dev = Dev::start(&["--ephemeral"]);
    let output = dev.agent(&["sub", "handbell.>", "-o", "json"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let output = dev.agent(&["pub", "handbell.breakers", "--type", "T", "-o", "json"]);
    assert_eq!(code(&output), 3);
    assert!(told(&output)["what"].as_str().unwrap().starts_with("forbidden_topic"));
}

#[test]
fn a_version_comes_in_every_form() {
    let dev = Dev::start(&["--ephemeral"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&dev.look(&["version", "-o", "name"]).stdout), version);
    let yaml = text(&dev.look(&["version", "-o", "yaml"]).stdout);
    assert_eq!(yaml, format!("client: {version}\nserver: {version}\nskew: false"));
    assert_eq!(code(&run(&["version", "--url", "http://127.0.0.1:1"])), 0, "nobody there is an answer, too");
    let wrong = run(&["version", "--url", "ws://127.0.0.1:1"]);
    assert_eq!((code(&wrong), text(&wrong.stdout)), (2, format!("client  {version}")));
}

#[test]
fn a_path_that_cannot_be_used_is_told_with_what_is_the_matter() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.display().to_string();
    let nowhere = format!("unix:{}/none/x.sock", folder.path().display());
    let taken = format!("unix:{file}");
    for (arguments, word) in [
        (["--ephemeral", "--listen", &nowhere].as_slice(), "mkdir -p"),
        (&["--ephemeral", "--listen", &taken], "no socket"),
        (&["--listen", "127.0.0.1:0", "--data", &file], "is a file"),
        (&["--listen", "127.0.0.1:0", "--data", "/proc/none"], "let this user write in /proc"),
    ] {
        let output = run(&[&["dev", "--admin", "127.0.0.1:0", "-q", "-o", "json"], arguments].concat());
        assert_eq!(code(&output), 1);
        let told = told(&output);
        assert!(format!("{told}").contains(word), "{arguments:?}: {told}");
    }
}

#[test]
fn a_file_of_contexts_that_is_broken_or_missing_shows_its_form() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("handbell/contexts.yaml");
    let list = || {
        let mut command = handbell(&["topic", "list", "--context", "a", "-o", "json"]);
        command.env("XDG_CONFIG_HOME", folder.path()).output().unwrap()
    };
    let missing = list();
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let written = ["", "contexts:\n  a: {agents: 1", "contexts:\n  a: 5"].map(|content| {
        std::fs::write(&file, content).unwrap();
        list()
    });
    for output in written.iter().chain([&missing]) {
        assert_eq!(code(output), 2);
        let told = told(output);
        assert!(told["where"].as_str().unwrap().contains("contexts.yaml"), "{told}");
        assert!(told["how"].as_str().unwrap().contains("admin: http://"), "{told}");
    }
    std::fs::write(&file, "contexts:\n  a: {admi: x}").unwrap();
    assert!(told(&list())["how"].as_str().unwrap().contains("did you mean admin"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dev = Dev::start(&["--ephemeral"]);
    dev.publish("t", "E", "1");
    for (arguments, url) in [
        (["config", "schema"].as_slice(), &dev.admin),
        (&["config", "print"], &dev.admin),
        (&["--help"], &dev.admin),
        (&["topic", "list"], &dev.admin),
        (&["sub", ">", "-f"], &dev.agents[0]),
    ] {
        let mut command = handbell(arguments);
        let mut child = command.env("HANDBELL_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        // Something to write for the one that follows.
        while child.try_wait().unwrap().is_none() {
            dev.publish("t", "E", "2");
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), text(&output.stderr)), (0, String::new()), "{arguments:?}");
    }
}

#[test]
fn nobody_reading_errors_does_not_hurt() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = handbell(&["topic", "list", "--url", "http://127.0.0.1:1"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(4));
}

#[test]
fn an_interrupt_is_exit_130() {
    let dev = Dev::start(&["--ephemeral"]);
    for arguments in [["sub", "t", "-f", "--agent", "/a"].as_slice(), &["respond", "--agent", "/b", "--", "true"]] {
        let agent = arguments.iter().find(|word| word.starts_with('/')).unwrap();
        let mut command = handbell(arguments);
        command.env("HANDBELL_URL", &dev.agents[0]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _told = Lines::of(child.stderr.take().unwrap());
        while !text(&dev.look(&["agent", "list", "-o", "name"]).stdout).contains(agent) {}
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let dev = Dev::start(&["--ephemeral"]);
    let listen = format!("admin.listen={}", dev.admin.strip_prefix("http://").unwrap());
    let mut command = handbell(&["topic", "list", "--set", &listen]);
    for name in ["HANDBELL_URL", "HANDBELL_TOKEN_FILE", "HANDBELL_CONFIG"] {
        command.env(name, "");
    }
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
}

#[test]
fn help_is_there_however_it_is_asked_for() {
    let help = text(&run(&["pub", "--help"]).stdout);
    assert!(help.contains("Examples:"));
    assert_eq!(text(&run(&["help", "pub"]).stdout), help);
    assert_eq!(text(&run(&["help"]).stdout), text(&run(&["--help"]).stdout));
    let alone = run(&[]);
    assert_eq!((code(&alone), text(&alone.stdout)), (2, String::new()));
    assert!(text(&alone.stderr).starts_with("Lets AI agents"), "{}", text(&alone.stderr));
}
