//! Autobahn's cases for the WebSocket protocol, against the agents' port.
//!
//! They want an echo, and an agent that sends binary frames or no JSON is shut
//! out. So a test build serves an echo behind the same port: accepted, set up,
//! read, written and closed by the code that serves agents.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::problem::Problem;
use crate::repo::Repo;
use crate::runtimes;
use crate::shell;

/// Cases that the port can't have an answer to.
const NOT_APPLICABLE: &[(&str, &str)] =
    &[("12.*", "compression is not offered"), ("13.*", "compression is not offered")];

/// Cases whose best result here is another than `OK`, and why.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("6.4.1", "NON-STRICT", FAIL_LATE),
    ("6.4.2", "NON-STRICT", FAIL_LATE),
    ("6.4.3", "NON-STRICT", FAIL_LATE),
    ("6.4.4", "NON-STRICT", FAIL_LATE),
    ("7.1.6", "INFORMATIONAL", "the case judges nothing: what comes after a close frame that was sent early"),
    ("7.13.1", "INFORMATIONAL", "the case judges nothing: a close code that no standard defines"),
    ("7.13.2", "INFORMATIONAL", "the case judges nothing: a close code that no standard defines"),
];
const FAIL_LATE: &str = "a text that is no UTF-8 closes with 1007 when its frame is complete, not at the bad byte";

/// So many cases are left of the suite's 517.
const CASES: usize = 301;

pub(super) fn run(repo: &Repo) -> Result<(), Problem> {
    let python = runtimes::prepare_suite(repo)?;
    let build = ["build", "-p", "handbell-sidecar", "--features", "echo", "--example", "echo", "--locked"];
    shell::run(&mut repo.cargo(build))?;
    let (_echo, address) = start(&repo.target().join("debug/examples/echo"))?;
    let reports = repo.target().join("tools/websocket-suite/reports");
    let mut suite = Command::new(python.interpreter.with_file_name("kosoku"));
    suite.args([&address, "-o"]).arg(&reports);
    for (cases, why) in NOT_APPLICABLE {
        println!("    not applicable: {cases}, {why}");
        suite.args(["-x", cases]);
    }
    shell::run(&mut suite).map_err(|problem| problem.mend(format!("read {}/index.html", repo.typed(&reports))))?;
    judge(&results(&reports.join("index.json"))?)
}

/// An echo, stopped when it is dropped.
struct Echo(Child);

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn start(program: &Path) -> Result<(Echo, String), Problem> {
    let failed = |error| Problem::new(format!("failed to start {}: {error}", program.display()));
    let mut child = Command::new(program).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let stdout = child.stdout.take();
    let echo = Echo(child);
    let mut line = String::new();
    if let Some(stdout) = stdout {
        BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
    }
    let address = line.trim().trim_start_matches("ws://").trim_end_matches('/').to_owned();
    if address.is_empty() {
        return Err(Problem::new("the echo ended before it told its address"));
    }
    Ok((echo, address))
}

/// How each case ended: itself, and its closing handshake.
type Results = BTreeMap<String, [String; 2]>;

fn results(index: &Path) -> Result<Results, Problem> {
    let unreadable = |why: String| Problem::new(format!("failed to read {}: {why}", index.display()));
    let text = std::fs::read_to_string(index).map_err(|error| unreadable(error.to_string()))?;
    read(&text).ok_or_else(|| unreadable("it is no report".into()))
}

fn read(text: &str) -> Option<Results> {
    let index: Value = serde_json::from_str(text).ok()?;
    let cases = index.as_object()?.values().next()?.as_object()?;
    let word = |case: &Value, name: &str| case[name].as_str().unwrap_or_default().to_owned();
    Some(
        cases
            .iter()
            .map(|(id, case)| (id.clone(), ["behavior", "behaviorClose"].map(|name| word(case, name))))
            .collect(),
    )
}

/// Every case is `OK`, or has exactly the result that it is excused for.
fn judge(results: &Results) -> Result<(), Problem> {
    let mut bad = Vec::new();
    for (id, [behavior, close]) in results {
        let excuse = EXCUSED.iter().find(|(case, result, _)| case == id && result == behavior);
        match excuse {
            Some((_, result, why)) => println!("    {id} is {result}: {why}"),
            None if behavior == "OK" && close == "OK" => {}
            None => bad.push(format!("{id} {behavior}, its close {close}")),
        }
    }
    if !bad.is_empty() {
        return Err(Problem::new(format!("the WebSocket suite failed: {}", bad.join("; "))));
    }
    if results.len() != CASES {
        return Err(Problem::new(format!("the WebSocket suite ran {} cases instead of {CASES}", results.len())));
    }
    println!("    {CASES} cases passed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_ok() -> Results {
        (0..CASES).map(|n| (format!("0.{n}"), ["OK".to_owned(), "OK".to_owned()])).collect()
    }

    #[test]
    fn a_case_that_is_not_ok_needs_an_excuse_of_its_own() {
        assert!(judge(&all_ok()).is_ok());
        for (id, behavior, good) in [("0.1", "FAILED", false), ("0.1", "NON-STRICT", false), ("0.1", "OK", true)] {
            let mut results = all_ok();
            results.insert(id.into(), [behavior.to_owned(), "OK".to_owned()]);
            assert_eq!(judge(&results).is_ok(), good, "{id} {behavior}");
        }
        let mut unclean = all_ok();
        unclean.insert("0.2".into(), ["OK".to_owned(), "UNCLEAN".to_owned()]);
        assert!(judge(&unclean).is_err());
    }

    #[test]
    fn a_suite_that_has_shrunk_is_no_success() {
        let mut fewer = all_ok();
        fewer.pop_first();
        assert!(judge(&fewer).is_err());
        assert!(judge(&Results::new()).is_err());
    }

    #[test]
    fn a_report_is_read() {
        let text = r#"{"127.0.0.1:1":{"1.1.1":{"behavior":"OK","behaviorClose":"OK","duration":0}}}"#;
        assert_eq!(read(text).unwrap_or_default()["1.1.1"], ["OK", "OK"].map(str::to_owned));
        assert!(read("[]").is_none());
    }
}
