//! `cargo xtask test`: everything that CI checks, in tiers.
//!
//! The first step that fails ends the run; the summary says what ran, for how
//! long, and what did not and why.

mod deny;
mod steps;
mod summary;
mod websocket;

use std::time::Instant;

use crate::problem::Problem;
use crate::repo::Repo;
use summary::{Outcome, Report};

/// Steps that belong together and can be asked for by name.
#[derive(Debug)]
pub(crate) struct Tier {
    pub name: &'static str,
    /// What it covers, for people.
    pub about: &'static str,
    /// Whether it runs when none is named.
    by_default: bool,
    steps: &'static [Step],
}

/// One thing to run.
#[derive(Debug)]
struct Step {
    name: &'static str,
    run: fn(&Repo) -> Result<(), Problem>,
}

const TIERS: &[Tier] = &[
    Tier {
        name: "style",
        about: "format, the rules between crates, generated files, lints",
        by_default: true,
        steps: &[
            Step { name: "format", run: steps::format },
            Step { name: "tidy", run: crate::tidy::run },
            Step { name: "clippy", run: steps::clippy },
        ],
    },
    Tier {
        name: "tests",
        about: "every test of the workspace, with agents in Python and JavaScript, on the embedded log",
        by_default: true,
        steps: &[
            Step { name: "build", run: steps::build },
            Step { name: "websocket suite", run: websocket::run },
            Step { name: "cargo test", run: steps::tests },
        ],
    },
    Tier {
        name: "supply",
        about: "licences and sources of everything that is linked",
        by_default: true,
        steps: &[Step { name: "cargo deny", run: deny::run }],
    },
    Tier {
        name: "nats",
        about: "the suite of backends, outages, clusters and sidecars over a real NATS server",
        by_default: false,
        steps: &[Step { name: "build", run: steps::build }, Step { name: "nats", run: steps::nats }],
    },
    Tier {
        name: "faults",
        about: "sidecars over NATS while servers, the network and sidecars break",
        by_default: false,
        steps: &[Step { name: "build", run: steps::build }, Step { name: "faults", run: steps::faults }],
    },
];

/// All tiers, in the order in which they run.
pub(crate) fn tiers() -> &'static [Tier] {
    TIERS
}

/// What ended a run: the step's name and why.
type Failure = (&'static str, Problem);

/// Runs the named tiers, or all when none is named.
pub(crate) fn run(repo: &Repo, wanted: &[String]) -> Result<(), Problem> {
    let (reports, failure) = run_tiers(repo, TIERS, wanted);
    print!("\n{}", summary::table(&reports));
    failure.map_or(Ok(()), |(step, problem)| Err(failed(step, problem)))
}

fn run_tiers(repo: &Repo, tiers: &[Tier], wanted: &[String]) -> (Vec<Report>, Option<Failure>) {
    let mut reports = Vec::new();
    let mut failure = None;
    for tier in tiers {
        let is_wanted = (wanted.is_empty() && tier.by_default) || wanted.iter().any(|name| name == tier.name);
        let outcome = match &failure {
            _ if !is_wanted => Outcome::NotRun("not asked for (--tier)".into()),
            Some((step, _)) => Outcome::NotRun(format!("`{step}` failed before")),
            None => {
                let (outcome, problem) = run_tier(repo, tier);
                failure = problem;
                outcome
            }
        };
        reports.push(Report { tier: tier.name, about: tier.about, outcome });
    }
    (reports, failure)
}

fn run_tier(repo: &Repo, tier: &Tier) -> (Outcome, Option<Failure>) {
    println!("\n== {}: {}", tier.name, tier.about);
    let mut durations = Vec::new();
    for step in tier.steps {
        println!("\n-> {}", step.name);
        let start = Instant::now();
        let result = (step.run)(repo);
        durations.push((step.name, start.elapsed()));
        if let Err(problem) = result {
            return (Outcome::Failed(durations), Some((step.name, problem)));
        }
    }
    (Outcome::Passed(durations), None)
}

fn failed(step: &str, problem: Problem) -> Problem {
    match problem {
        Problem::Failed { what, mend } => Problem::Failed { what: format!("the step `{step}` failed: {what}"), mend },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Step = Step { name: "fine", run: |_| Ok(()) };
    const BROKEN: Step = Step { name: "broken", run: |_| Err(Problem::new("it broke")) };
    const UNREACHED: Step = Step { name: "unreached", run: |_| panic!("a step after the failed one ran") };
    const SOME: &[Tier] = &[
        Tier { name: "a", about: "", by_default: true, steps: &[FINE, BROKEN, UNREACHED] },
        Tier { name: "b", about: "", by_default: true, steps: &[UNREACHED] },
        Tier { name: "c", about: "", by_default: true, steps: &[FINE] },
    ];

    fn ran(wanted: &[&str]) -> (Vec<Report>, Option<Failure>) {
        let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        run_tiers(&Repo::find().expect("cargo runs the tests"), SOME, &wanted)
    }

    #[test]
    fn the_first_step_that_fails_is_named_and_ends_the_run() {
        let (reports, failure) = ran(&[]);
        let (step, problem) = failure.expect("one step fails");
        assert!(failed(step, problem).to_string().contains("the step `broken` failed: it broke"));
        assert!(matches!(&reports[0].outcome, Outcome::Failed(steps) if steps.len() == 2));
        assert!(matches!(&reports[1].outcome, Outcome::NotRun(why) if why.contains("`broken`")));
    }

    #[test]
    fn only_the_tiers_asked_for_run() {
        let (reports, failure) = ran(&["c"]);
        assert!(failure.is_none());
        assert!(matches!(&reports[0].outcome, Outcome::NotRun(why) if why.contains("--tier")));
        assert!(matches!(&reports[2].outcome, Outcome::Passed(steps) if steps.len() == 1));
    }
}
