//! What ran, for how long, and what did not and why: as a table.

use std::fmt::Write as _;
use std::time::Duration;

/// How a tier ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Each step with its duration.
    Passed(Vec<(&'static str, Duration)>),
    /// The last step is the one that failed.
    Failed(Vec<(&'static str, Duration)>),
    /// With the reason.
    NotRun(String),
}

/// A tier's line.
#[derive(Debug)]
pub(super) struct Report {
    pub tier: &'static str,
    pub about: &'static str,
    pub outcome: Outcome,
}

/// A line per tier.
pub(super) fn table(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let (word, detail) = match &report.outcome {
            Outcome::Passed(steps) => ("passed", durations(steps)),
            Outcome::Failed(steps) => ("FAILED", durations(steps)),
            Outcome::NotRun(reason) => ("not run", format!("{reason}; it covers {}", report.about)),
        };
        writeln!(text, "{:<8} {word:<8} {detail}", report.tier).expect("a string takes any text");
    }
    text
}

fn durations(steps: &[(&str, Duration)]) -> String {
    let total = steps.iter().map(|(_, duration)| *duration).sum();
    let each = steps.iter().map(|(name, duration)| format!("{name} {}", short(*duration)));
    format!("{:>7}  ({})", short(total), each.collect::<Vec<_>>().join(", "))
}

fn short(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_ran_and_what_did_not_and_why() {
        let seconds = Duration::from_secs;
        let report = |tier, outcome| Report { tier, about: "lints", outcome };
        let text = table(&[
            report("style", Outcome::Passed(vec![("format", seconds(1)), ("clippy", seconds(61))])),
            report("tests", Outcome::Failed(vec![("build", seconds(5))])),
            report("supply", Outcome::NotRun("`build` failed before".into())),
        ]);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].contains("passed") && lines[0].contains("1 min 02 s") && lines[0].contains("format 1 s"),
            "{text}"
        );
        assert!(lines[1].contains("FAILED") && lines[1].contains("build 5 s"), "{text}");
        assert!(lines[2].contains("not run") && lines[2].contains("`build` failed before; it covers lints"), "{text}");
    }
}
