//! What the sources say together, and where errors point.

use std::path::PathBuf;

use super::{
    load::{Loaded, Sources, load},
    problem::Problem,
};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("handbell-config-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn with_file(name: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
    let folder = Folder::new();
    load(&Sources { file: Some(folder.file(name, text)), ..Sources::default() })
}

fn with_sets(sets: &[&str]) -> Result<Loaded, Vec<Problem>> {
    load(&Sources { set: sets.iter().map(ToString::to_string).collect(), ..Sources::default() })
}

/// The first problem, with the folder cut from its place.
fn first(result: Result<Loaded, Vec<Problem>>) -> Problem {
    let mut problem = result.unwrap_err().remove(0);
    if let Some((_, place)) = problem.place.rsplit_once("/c.") {
        problem.place = format!("c.{place}");
    }
    problem
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.config.sidecar.listen.to_string(), "127.0.0.1:7710");
    assert_eq!(loaded.origin("sidecar.listen").to_string(), "default");
}

#[test]
fn a_file_gives_way_to_the_environment_and_that_to_flags() {
    let folder = Folder::new();
    let sources = Sources {
        file: Some(
            folder.file("c.toml", "version = 1\nnamespace = \"f\"\n[sidecar]\ndrain = \"1s\"\nheartbeat = \"2s\"\n"),
        ),
        env: vec![("HANDBELL__SIDECAR__DRAIN".into(), "3s".into()), ("HANDBELL__NAMESPACE".into(), "007".into())],
        set: vec!["sidecar.drain=4s".into()],
        flags: vec![("--namespace", "namespace", "flag".into())],
    };
    let loaded = load(&sources).unwrap();
    let sidecar = &loaded.config.sidecar;
    assert_eq!((sidecar.heartbeat.as_secs(), sidecar.drain.as_secs()), (2, 4));
    assert_eq!(loaded.config.namespace.as_str(), "flag");
    assert!(loaded.origin("sidecar.heartbeat").to_string().ends_with("c.toml:5"));
    assert_eq!(loaded.origin("sidecar.drain").to_string(), "--set sidecar.drain");
    assert_eq!(loaded.origin("namespace").to_string(), "--namespace");

    let without_flag = load(&Sources { flags: vec![], ..sources }).unwrap();
    assert_eq!(without_flag.config.namespace.as_str(), "007");
}

#[test]
fn keys_with_a_slash_work_in_both_kinds_of_file_and_in_set() {
    let yaml = "version: 1\nagents:\n  scopes:\n    \"/a\": {publish: [x.*, 'pool:b'], subscribe: ['>']}\n  /a:\n    default_reply: {ok: true}\n    subscriptions:\n    - {topic: t, group: g, action: Do it}\n";
    let toml = "version = 1\n[agents.scopes.\"/a\"]\npublish = [\"x.*\", \"pool:b\"]\nsubscribe = [\">\"]\n[agents.\"/a\"]\ndefault_reply = {ok = true}\n[[agents.\"/a\".subscriptions]]\ntopic = \"t\"\ngroup = \"g\"\naction = \"Do it\"\n";
    for (name, text) in [("c.yaml", yaml), ("c.toml", toml)] {
        let agents = with_file(name, text).unwrap().config.agents;
        assert_eq!(agents.scopes.values().next().unwrap().publish, ["x.*", "pool:b"]);
        let agent = agents.each.values().next().unwrap();
        assert_eq!(agent.default_reply, Some(serde_json::json!({"ok": true})));
        assert_eq!(agent.subscriptions[0].action.as_deref(), Some("Do it"));
    }
    let set = with_sets(&[r#"agents.scopes."/a".publish=["x"]"#, r#"topics."p.t".description=A = B"#]).unwrap().config;
    assert_eq!(set.agents.scopes.values().next().unwrap().publish, ["x"]);
    assert_eq!(set.topics.values().next().unwrap().description, "A = B");
}

#[test]
fn a_key_that_is_left_out_keeps_its_default_beside_one_that_is_written() {
    let keep = with_sets(&["retention.inbox.size=1GiB"]).unwrap().config.retention.inbox;
    assert_eq!((keep.age.map(|age| age.as_secs()), keep.size.map(|size| size.0)), (Some(7 * 86_400), Some(1 << 30)));
}

#[test]
fn errors_name_file_line_and_key_and_how_to_mend_it() {
    for (name, text, place, what, how) in [
        (
            "c.yaml",
            "version: 1\nsidecar:\n  lisen: 1\n",
            "c.yaml:3: sidecar.lisen",
            "unknown key",
            "did you mean listen?",
        ),
        ("c.toml", "version = 1\n[sidecar]\n\ndrain = \"5\"\n", "c.toml:4: sidecar.drain", "not a duration", "250ms"),
        ("c.yaml", "version: 1\nsidecar: {max_frame: 1MB2}\n", "c.yaml:2: sidecar.max_frame", "not a size", "1MiB"),
        (
            "c.yaml",
            "version: 1\nsidecar:\n  read_ahead: many\n",
            "c.yaml:3: sidecar.read_ahead",
            "\"many\"",
            "whole number",
        ),
        ("c.yaml", "version: 1\nsidecar:\n  origins: x\n", "c.yaml:3: sidecar.origins", "\"x\"", "a list"),
        ("c.yaml", "version: 1\nsidecar: 5\n", "c.yaml:2: sidecar", "5", "map of keys"),
        (
            "c.yaml",
            "version: 1\nbackend:\n  kind: embeded\n",
            "c.yaml:3: backend.kind",
            "embeded",
            "did you mean embedded?",
        ),
        ("c.yaml", "version: 1\nbackend:\n  partitions: 0\n", "c.yaml:3: backend.partitions", "between 1 and 1024", ""),
        (
            "c.yaml",
            "version: 1\nagents:\n  token_file: x\n",
            "c.yaml:3: agents.token_file",
            "unknown key",
            "tokens_file",
        ),
        ("c.yaml", "version: 1\nagents:\n  /a b: {}\n", "c.yaml:3: agents.\"/a b\"", "agent", ""),
        (
            "c.yaml",
            "version: 1\nsidecar:\n  heartbeat: 1ms\n",
            "c.yaml:3: sidecar.heartbeat",
            "out of bounds",
            "100ms to 5m",
        ),
        ("c.yaml", "version: 1\nretry:\n  jitter: 2\n", "c.yaml:3: retry.jitter", "between 0 and 1", ""),
        ("c.yaml", "version: 1\nadmin:\n  listen: 127.0.0.1:7710\n", "c.yaml:3: admin.listen", "both", "another port"),
        (
            "c.yaml",
            "version: 1\nsidecar:\n  listen: 0.0.0.0:1\n",
            "c.yaml:3: sidecar.listen",
            "other machines",
            "agents.tokens_file",
        ),
        (
            "c.yaml",
            "version: 1\nagents:\n  tokens_file: /nowhere\n",
            "c.yaml:3: agents.tokens_file",
            "/nowhere",
            "read",
        ),
        ("c.yaml", "version: 2\n", "c.yaml:1: version", "version 2", "version: 1"),
        ("c.yaml", "namespace: a\n", "c.yaml:1", "version", "version: 1"),
        ("c.yaml", "version: 1\nversion: 1\n", "c.yaml:2", "twice", "remove"),
        ("c.yaml", "version: 1\n a: [\n", "c.yaml:2", "no YAML", ""),
        ("c.toml", "version = 1\nx =\n", "c.toml:2", "no TOML", ""),
        ("c.yaml", "version: 1\ntopics:\n  \"a.>\": {}\n", "c.yaml:3: topics.\"a.>\"", "topic", ""),
    ] {
        let problem = first(with_file(name, text));
        assert_eq!(problem.place, place, "{text}: {problem:?}");
        assert!(problem.what.contains(what), "{text}: {problem:?}");
        assert!(problem.how.contains(how), "{text}: {problem:?}");
    }
}

/// What is wrong with a file: line and key.
fn all_wrong(content: &str) -> Vec<String> {
    let folder = Folder::new();
    let problems = load(&Sources { file: Some(folder.file("c.yaml", content)), ..Sources::default() }).unwrap_err();
    let short = |problem: &Problem| problem.place.rsplit_once("c.yaml:").map(|(_, place)| place.to_owned());
    let mut places: Vec<_> = problems.iter().filter_map(short).collect();
    places.sort();
    places
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let content = "version: 1\nsidecar:\n  drain: 20\n  lisen: x\nadmin: 5\nretry: {max_retries: 5000}\n\
        agents:\n  /a:\n    subscriptions:\n    - {topic: a b}\n";
    let subscription = "10: agents.\"/a\".subscriptions[0].topic";
    let wrong = all_wrong(content);
    assert_eq!(wrong, [subscription, "3: sidecar.drain", "4: sidecar.lisen", "5: admin", "6: retry.max_retries"]);
}

#[test]
fn declarations_that_cannot_be_are_told_with_line_and_key() {
    let content = "version: 1\ntopics:\n  handbell.x: {}\nagents:\n  /a:\n    subscriptions:\n\
        \x20   - {topic: t, group: g}\n    - {topic: u, group: g, order: none}\n    - {topic: t, filter: 'x==('}\n\
        \x20 /b:\n    subscriptions:\n    - {topic: t, group: g}\n\
        retry: {retry_on: [timeout], no_retry_on: [timeout], initial_delay: 1m}\ntelemetry: {log: 'a=b=c'}\n";
    let second = "8: agents.\"/a\".subscriptions[1]";
    let wrong = all_wrong(content);
    assert_eq!(wrong[..3], ["13: retry.initial_delay", "13: retry.no_retry_on", "14: telemetry.log"]);
    assert_eq!(wrong[3..6], ["3: topics.\"handbell.x\"", second, second], "another topic, and another order");
    assert_eq!(wrong[6..], ["9: agents.\"/a\".subscriptions[2].filter"]);
}

#[test]
fn a_level_with_a_slip_is_told_and_a_part_of_the_program_is_not_taken_for_one() {
    let problem = first(with_sets(&["telemetry.log=inof"]));
    assert_eq!((problem.place.as_str(), problem.how.as_str()), ("--set telemetry.log", "did you mean info?"));
    for fine in ["info", "WARN", "off", "hyper", "info,handbell_sidecar=debug"] {
        assert!(with_sets(&[&format!("telemetry.log='{fine}'")]).is_ok(), "{fine}");
    }
}

#[test]
fn errors_in_flags_and_the_environment_name_those() {
    assert_eq!(first(with_sets(&["sidecar.drain=1"])).place, "--set sidecar.drain");
    assert_eq!(first(with_sets(&["sidecar.drain"])).place, "--set");
    assert_eq!(first(with_sets(&["a b=1"])).place, "--set");
    let env = vec![("HANDBELL__SIDECAR__LISTN".into(), "x".into())];
    assert_eq!(first(load(&Sources { env, ..Sources::default() })).place, "HANDBELL__SIDECAR__LISTN");
    let flags = vec![("--ephemeral", "backend.embedded.ephemeral", "true".into())];
    assert!(load(&Sources { flags, ..Sources::default() }).unwrap().config.backend.embedded.ephemeral);
    let flags = vec![("--listen", "sidecar.listen", "0.0.0.0:1".into())];
    assert_eq!(first(load(&Sources { flags, ..Sources::default() })).place, "--listen");
}

#[test]
fn a_bad_line_of_a_token_file_is_named_without_the_secret() {
    let folder = Folder::new();
    let tokens = folder.file("tokens", "# agents\n/a s3cret\nb s3cret\n");
    let problem = first(with_sets(&[&format!("agents.tokens_file={}", tokens.display())]));
    assert!(problem.place.ends_with("tokens:3"), "{problem:?}");
    assert!(!format!("{problem:?}").contains("s3cret"));
}

#[test]
fn the_effective_configuration_reads_back_the_same() {
    let loaded = with_sets(&["sidecar.drain=90s", r#"agents.scopes."/a".publish=["x"]"#]).unwrap();
    let folder = Folder::new();
    let printed = serde_yaml_ng::to_string(&super::effective(&loaded)).unwrap();
    let again = load(&Sources { file: Some(folder.file("c.yaml", &printed)), ..Sources::default() }).unwrap();
    assert_eq!(super::effective(&again), super::effective(&loaded));
}

#[test]
fn the_schema_accepts_the_defaults_and_refuses_an_unknown_key() {
    let validator = jsonschema::validator_for(&super::json_schema()).unwrap();
    let mut config = super::effective(&load(&Sources::default()).unwrap());
    assert!(validator.is_valid(&config), "{:?}", validator.validate(&config));
    config["sidecar"]["lisen"] = 1.into();
    assert!(!validator.is_valid(&config));
}
