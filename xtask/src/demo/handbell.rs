//! The `handbell` under the demo: started once, then spoken to by its own CLI.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::ready::{self, Ready};
use super::stage::{Happening, Stage};
use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;

/// How it is called on the stage.
pub(super) const NAME: &str = "handbell";
const START: Duration = Duration::from_secs(30);
/// So many lines of the log are shown when something goes wrong.
const LOG_LINES: usize = 15;

/// A running `handbell dev`.
#[derive(Debug)]
pub(super) struct Handbell {
    program: PathBuf,
    log: PathBuf,
    /// One WebSocket address per sidecar: two.
    pub agents: [String; 2],
    admin: String,
}

impl Handbell {
    /// Starts it and waits for its addresses.
    pub(super) fn start(repo: &Repo, stage: &mut Stage) -> Result<Self, Problem> {
        let log = repo.target().join("demo/handbell.log");
        let unwritable = |error| Problem::new(format!("failed to write {}: {error}", log.display()));
        std::fs::create_dir_all(repo.target().join("demo")).map_err(unwritable)?;
        let mut command = clean(Command::new(repo.handbell()));
        command.args(["dev", "--sidecars", "2", "--ephemeral", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--json").stderr(File::create(&log).map_err(unwritable)?);
        stage.start(NAME, &mut command)?;
        let waited = wait_until_ready(stage).map_err(|problem| with_log(problem, &log))?;
        let agents = waited.agents.try_into().map_err(|found: Vec<_>| {
            Problem::new(format!("handbell was asked for two sidecars and has {}", found.len()))
        })?;
        let handbell = Self { program: repo.handbell(), log, agents, admin: waited.admin };
        println!("    ready: sidecars at {} and {}", handbell.agents[0], handbell.agents[1]);
        println!("    its own logs: {}", repo.typed(&handbell.log));
        Ok(handbell)
    }

    /// A `handbell` command that talks to the sidecar at the address.
    pub(super) fn at_sidecar<const N: usize>(&self, sidecar: usize, args: [&str; N]) -> Command {
        let mut command = clean(Command::new(&self.program));
        command.args(args).args(["--url", &self.agents[sidecar]]);
        command
    }

    /// A `handbell` command that talks to the admin address.
    fn at_admin<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = clean(Command::new(&self.program));
        command.args(args).args(["--url", &self.admin]);
        command
    }

    /// Publishes and says the event's ID.
    pub(super) fn publish(&self, mut command: Command) -> Result<String, Problem> {
        println!("    $ {}", shell::shown(&command));
        let answer = shell::read(command.args(["-o", "json"]))?;
        let id = serde_json::from_str::<Value>(&answer).ok().and_then(|frame| Some(frame["id"].as_str()?.to_owned()));
        id.ok_or_else(|| Problem::new(format!("`handbell pub` answered without an ID: {}", answer.trim())))
    }

    /// Whether `NOUN list` has the name.
    pub(super) fn lists(&self, noun: &str, name: &str) -> Result<bool, Problem> {
        let names = shell::read(&mut self.at_admin([noun, "list", "-o", "name"]))?;
        Ok(names.lines().any(|line| line.trim().ends_with(name)))
    }

    /// The command that prints a chain as a table.
    pub(super) fn chain(&self, correlation: &str) -> Command {
        self.at_admin(["event", "list", "--correlation", correlation])
    }

    /// Shows the end of the log before the problem.
    pub(super) fn explain(&self, problem: Problem) -> Problem {
        with_log(problem, &self.log)
    }
}

/// Nothing that the person has set for another handbell counts here.
fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HANDBELL")) {
        command.env_remove(name);
    }
    command
}

fn wait_until_ready(stage: &mut Stage) -> Result<Ready, Problem> {
    while let Some(happening) = stage.next(START)? {
        match happening {
            Happening::Said { line, .. } => match ready::parse(&line) {
                Some(ready) => return Ok(ready),
                None => println!("    {line}"),
            },
            Happening::Ended { .. } => return Err(Problem::new("handbell ended before it was ready")),
        }
    }
    Err(Problem::new(format!("handbell was not ready after {} s", START.as_secs())))
}

fn with_log(problem: Problem, log: &std::path::Path) -> Problem {
    if problem == Problem::Interrupted {
        return problem;
    }
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    println!("\n    The end of handbell's log, {}:", log.display());
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        println!("    | {line}");
    }
    problem
}
