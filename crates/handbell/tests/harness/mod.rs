//! Runs the real program: a `dev` of its own on free ports, and commands that
//! ask it.

#![allow(dead_code, clippy::unwrap_used, reason = "each test crate uses a part of it; a test may panic")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// So long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running `handbell dev`; ended when it is dropped.
pub(crate) struct Dev {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) agents: Vec<String>,
    pub(crate) admin: String,
}

/// The program, untouched by this machine's environment.
pub(crate) fn handbell(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_handbell"));
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("HANDBELL") || name == "RUST_LOG");
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    handbell(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// What a process prints, line by line, with patience.
pub(crate) struct Lines(mpsc::Receiver<String>);

impl Lines {
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Self(receiver)
    }

    /// The next line, unless the output ends or patience does.
    pub(crate) fn next(&self) -> Option<String> {
        self.0.recv_timeout(PATIENCE).ok()
    }
}

impl Dev {
    /// Starts it with a log in a folder of its own.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// Starts it with the log that lies in `folder`.
    pub(crate) fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let data = folder.path().join("log").display().to_string();
        let mut all = vec!["dev", "--admin", "127.0.0.1:0", "--json"];
        if !arguments.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        if !arguments.contains(&"--ephemeral") {
            all.extend(["--data", &data]);
        }
        all.extend(arguments);
        let mut child = handbell(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let Some(line) = lines.next() else {
            child.kill().unwrap();
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("dev is not ready:\n{log}");
        };
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        assert!(line.starts_with(r#"{"event":"ready","agents":["#), "{line}");
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["event"], "ready");
        let agents = ready["agents"].as_array().unwrap().iter().map(|url| url.as_str().unwrap().to_owned()).collect();
        Self { child, folder, agents, admin: ready["admin"].as_str().unwrap().to_owned() }
    }

    /// Runs a command that works as an agent.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Output {
        handbell(arguments).env("HANDBELL_URL", &self.agents[0]).output().unwrap()
    }

    /// Runs a command that looks.
    pub(crate) fn look(&self, arguments: &[&str]) -> Output {
        handbell(arguments).env("HANDBELL_URL", &self.admin).output().unwrap()
    }

    /// Publishes and returns the `published` frame.
    pub(crate) fn publish(&self, topic: &str, event_type: &str, payload: &str) -> Value {
        let output = self.agent(&["pub", topic, "--type", event_type, payload, "-o", "json"]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// An answer of the admin address: status line and body.
    pub(crate) fn http(&self, method: &str, target: &str, headers: &str) -> (u16, String) {
        let authority = self.admin.strip_prefix("http://").unwrap();
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {authority}\r\n") };
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{method} {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for the end by itself, and gives the folder back.
    pub(crate) fn wait(mut self) -> (ExitStatus, TempDir) {
        let status = self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (status, folder)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
