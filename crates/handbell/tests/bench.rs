//! `bench`: that it measures what it says and leaves nothing behind. Not how
//! fast anything is.
#![allow(clippy::unwrap_used, reason = "a test")]

mod harness;

use harness::{Dev, code, handbell, text};
use serde_json::Value;

fn bench(more: &[&str]) -> Value {
    let base = ["bench", "--quick", "--size", "256", "-o", "json", "-q"];
    let output = handbell(&[&base, more].concat()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn cases(report: &Value, part: &str) -> Vec<String> {
    let rows = report["parts"][part].as_array().unwrap();
    rows.iter().map(|row| row["case"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_sidecar_of_its_own_is_compared_with_its_log_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let report = bench(&["--only", "throughput,start,idle", "--connections", "5", "--dir", at]);
    assert_eq!(cases(&report, "throughput"), ["direct", "fan-out", "ordered group", "unordered group"]);
    for row in report["parts"]["throughput"].as_array().unwrap() {
        assert!(row["per_second"]["median"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(cases(&report, "idle"), ["welcomed", "with a subscription"]);
    assert!(report["parts"]["start"][0]["ready_ms"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_running_sidecar_is_driven_and_not_compared() {
    let dev = Dev::start(&["--ephemeral"]);
    let report = bench(&["--url", &dev.agents[0], "--only", "request,fanout,idle"]);
    assert_eq!(cases(&report, "request"), ["1 in flight", "50 in flight", "500 in flight"]);
    assert_eq!(cases(&report, "fanout").len(), 3);
    assert!(cases(&report, "idle").is_empty());
}
