//! `doctor`, `completions`, `man`: what helps.
#![allow(clippy::unwrap_used, reason = "a test")]

mod harness;

use std::{net::TcpListener, os::unix::fs::PermissionsExt, process::Command};

use harness::{Dev, code, handbell, run, text};
use serde_json::Value;

/// Runs `doctor -o json` beside the user's real folders.
fn doctor(arguments: &[&str], url: Option<&str>) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = handbell(&[&["doctor", "-o", "json", "--set", "admin.listen=127.0.0.1:0"], arguments].concat());
    command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
    url.map(|url| command.env("HANDBELL_URL", url));
    let output = command.output().unwrap();
    assert_eq!(text(&output.stderr), "");
    (code(&output), serde_json::from_slice(&output.stdout).unwrap())
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no check {name}: {report}"))
}

#[test]
fn a_running_one_is_examined() {
    let dev = Dev::start(&[]);
    let data = dev.folder.path().join("log").display().to_string();
    let data = format!("backend.embedded.dir={data}");
    let free = ["--set", "sidecar.listen=127.0.0.1:0", "--set", &data];
    let (code, report) = doctor(&free, Some(&dev.admin));
    assert_eq!((code, &report["ok"]), (0, &true.into()), "{report}");
    for name in ["client", "configuration", "server", "clocks", "sidecar", "durability", "data", "clock"] {
        assert_eq!(check(&report, name)["state"], "ok", "{report}");
    }
    assert!(check(&report, "durability")["what"].as_str().unwrap().contains("fsync"), "{report}");
    if cfg!(target_os = "linux") {
        assert!(check(&report, "data")["what"].as_str().unwrap().contains("in use by handbell"), "{report}");
    }
    let (code, report) = doctor(&free[..2], Some(&dev.agents[0]));
    assert_eq!((code, check(&report, "sidecar")["state"].as_str()), (0, Some("ok")), "{report}");
}

#[test]
fn what_is_kept_in_memory_only_is_told() {
    let dev = Dev::start(&["--ephemeral"]);
    let (code, report) = doctor(&["--set", "sidecar.listen=127.0.0.1:0"], Some(&dev.admin));
    assert_eq!(code, 0);
    let durability = check(&report, "durability");
    assert_eq!(durability["state"], "warn");
    assert!(durability["how"].as_str().unwrap().contains("ephemeral"), "{durability}");
}

#[test]
fn what_fails_is_exit_1_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("sidecar.listen={}", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file").display().to_string();
    std::fs::write(&file, "").unwrap();
    let dir = format!("backend.embedded.dir={file}");
    for (arguments, name) in [
        (["--set", &taken].as_slice(), "agents' port"),
        (&["--set", &dir, "--set", "sidecar.listen=127.0.0.1:0"], "data"),
        (&["--set", "a.b=1"], "configuration"),
        (&["--url", "http://127.0.0.1:1", "--set", "sidecar.listen=127.0.0.1:0"], "server"),
    ] {
        let (code, report) = doctor(arguments, None);
        assert_eq!((code, &report["ok"]), (1, &false.into()), "{report}");
        let check = check(&report, name);
        assert_eq!(check["state"], "fail", "{report}");
        assert!(check["how"].as_str().is_some_and(|how| !how.is_empty()), "{check}");
    }
}

#[test]
fn tokens_that_others_can_read_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, "/a t\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let tokens = format!("agents.tokens_file={}", path.display());
    let (code, report) = doctor(&["--set", &tokens, "--set", "sidecar.listen=127.0.0.1:0"], None);
    assert_eq!(code, 0);
    let check = check(&report, "agents' tokens");
    assert_eq!(check["state"], "warn");
    assert!(check["how"].as_str().unwrap().starts_with("chmod 600"), "{check}");
}

#[test]
fn every_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(text(&output.stdout).contains("HANDBELL_COMPLETE"), "{shell}");
    }
    let script = run(&["completions", "bash"]).stdout;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handbell.bash");
    std::fs::write(&path, script).unwrap();
    assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success());
}

/// What the script of bash asks at a Tab behind these words.
fn tab(words: &[&str], url: &str) -> Vec<String> {
    let mut command = handbell(&[&["--", "handbell"], words].concat());
    command.env("HANDBELL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    let output = command.env("_CLAP_IFS", "\n").env("HANDBELL_URL", url).output().unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
    text(&output.stdout).lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_tab_completes_commands_flags_and_names() {
    let dev = Dev::start(&["--ephemeral"]);
    dev.publish("project.tasks", "T", "1");
    assert!(tab(&["do"], &dev.admin).contains(&"doctor".into()));
    assert!(tab(&["topic", "list", "--wa"], &dev.admin).contains(&"--watch".into()));
    assert!(tab(&["topic", "show", ""], &dev.admin).contains(&"project.tasks".into()));
    assert!(tab(&["sub", "proj"], &dev.admin).contains(&"project.tasks".into()));
    assert!(!tab(&["topic", "show", ""], "http://127.0.0.1:1").contains(&"project.tasks".into()));
}

#[test]
fn every_command_has_a_page_with_its_examples() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    let output = run(&["man", "--dir", &dir.display().to_string()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    for name in ["handbell", "handbell-pub", "handbell-topic-list", "handbell-event-show", "handbell-doctor"] {
        let page = std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".TH ") && page.contains("Example"), "{name}");
    }
    assert!(text(&run(&["man"]).stdout).contains(".TH handbell 1"));
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    assert_eq!(code(&run(&["man", "--dir", &blocked.display().to_string()])), 1);
}
