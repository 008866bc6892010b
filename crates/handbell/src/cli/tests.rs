//! What the command line takes and how it refuses.

use std::ffi::OsString;

use clap::CommandFactory;

use super::{Cli, Command, Parsed, parse, wants_json};
use crate::failure::Exit;

fn words(line: &str) -> Vec<OsString> {
    std::iter::once("handbell").chain(line.split_whitespace()).map(OsString::from).collect()
}

fn cli(line: &str) -> Cli {
    match parse(&words(line)) {
        Ok(Parsed::Cli(cli)) => *cli,
        Ok(Parsed::Text(text) | Parsed::Help(text)) => panic!("{line}: {text}"),
        Err(failure) => panic!("{line}: {failure:?}"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_examples_in_its_help() {
    fn walk(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example"), "{path} has no examples");
        command.get_subcommands().for_each(|inner| walk(inner, &path));
    }
    walk(&Cli::command(), "");
}

#[test]
fn the_documented_lines_are_taken() {
    for line in [
        "dev",
        "dev --sidecars 2 --data /tmp/x --listen 127.0.0.1:0 --admin 127.0.0.1:0 --json -n team",
        "dev --ephemeral --backend embedded",
        "sidecar --admin 127.0.0.1:0",
        "pub project.tasks --type T --key k {}",
        "pub --to pool:b --type T -",
        "sub project.* a.> --group g --filter type=X --from start --follow --ack",
        "sub t --from 2h -o json",
        "request /a --type T --deadline 5s {}",
        "respond --once -- tr a-z A-Z",
        "topic list",
        "topics ls -o wide",
        "agents get -l pools=b --limit 5 -w",
        "group describe g -o yaml",
        "event list --since 2h --topic a.*",
        "config check --config x.yaml --set a.b=1 --set c.d=2",
        "config print --json",
        "config schema",
        "bench",
        "bench --only throughput,latency --size 256,1024 --rounds 3 --quick --set sidecar.drain=1s -o json",
        "bench --url ws://127.0.0.1:7710/v1/ws --token-file t",
        "version",
        "completions bash",
        "completions powershell",
        "doctor -o json --context x",
        "man --dir /tmp/x",
    ] {
        cli(line);
    }
}

#[test]
fn flags_stand_for_keys() {
    let flags = cli("dev --listen 127.0.0.1:1 --ephemeral -n x").flags();
    assert_eq!(
        flags,
        [
            ("--namespace", "namespace", "x".to_owned()),
            ("--listen", "sidecar.listen", "127.0.0.1:1".to_owned()),
            ("--ephemeral", "backend.embedded.ephemeral", "true".to_owned()),
        ]
    );
    assert_eq!(cli("sidecar --admin a").flags(), [("--admin", "sidecar.admin.listen", "a".to_owned())]);
}

#[test]
fn wrong_usage_is_exit_2_and_says_what_is_meant() {
    for line in [
        "fly",
        "pub t",
        "request all",
        "sub t --agent x",
        "sub t --group a.b",
        "pub --to nobody --type T",
        "dev --sidecars 0",
        "dev --data x --ephemeral",
        "sub",
        "request nobody",
        "sub t --ack",
    ] {
        match parse(&words(line)) {
            Err(failure) => assert_eq!(failure.exit, Exit::Usage, "{line}"),
            Ok(_) => panic!("{line} was taken"),
        }
    }
    for line in ["request nobody", "sub t --agent x", "sub t --group a.b", "sub a..b"] {
        let Err(failure) = parse(&words(line)) else { panic!("{line} was taken") };
        assert!(failure.reasons[0].how.starts_with("it must "), "{failure:?}");
    }
    assert!(matches!(parse(&words("")), Ok(Parsed::Help(_))), "nothing is wrong yet: help is given");
    let Err(failure) = parse(&words("topc list")) else { panic!("taken") };
    assert!(failure.reasons[0].how.contains("topic"), "{failure:?}");
}

#[test]
fn the_form_of_errors_is_known_before_the_line_is_read() {
    assert!(wants_json(&words("fly --json")) && wants_json(&words("fly -o json")) && wants_json(&words("fly -ojson")));
    assert!(!wants_json(&words("respond -- x --json")) && !wants_json(&words("fly -o table")));
}

#[test]
fn a_command_for_respond_keeps_its_own_flags() {
    match cli("respond --once -- sh -c --json").command {
        Command::Respond(args) => assert_eq!(args.command, ["sh", "-c", "--json"]),
        other => panic!("{other:?}"),
    }
}
