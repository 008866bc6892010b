//! Thousands of courses of events, each from one seed, each checked at every
//! effect of every session.
//!
//! `HANDBELL_SIM_SEED=… cargo test -p handbell-sidecar --test simulation`
//! replays one; `HANDBELL_SIM_TRACE=1` beside it prints what happens
//! (`-- --nocapture`); `HANDBELL_SIM_RUNS` sets how many seeds run.

mod sim;

use handbell_sidecar::session::Sabotage;
use sim::{
    end::Counts,
    plan::{Outcome, run},
};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn fail(seed: u64, outcome: &Outcome) -> ! {
    panic!(
        "seed {seed}: {}\nreplay: HANDBELL_SIM_SEED={seed} cargo test -p handbell-sidecar --test simulation",
        outcome.violations.join("\n")
    )
}

#[test]
fn what_is_promised_holds_whatever_the_seed() {
    if let Some(seed) = number("HANDBELL_SIM_SEED") {
        let outcome = run(seed, None);
        if !outcome.violations.is_empty() {
            fail(seed, &outcome);
        }
        return;
    }
    let runs = number("HANDBELL_SIM_RUNS").unwrap_or(2_000);
    let mut all = Counts::default();
    for seed in 1..=runs {
        let outcome = run(seed, None);
        if !outcome.violations.is_empty() {
            fail(seed, &outcome);
        }
        all.add(&outcome.counts);
    }
    println!("{runs} seeds: {all:?}");
}

/// The first seed whose course a planted bug spoils, among the first few hundred.
fn first_caught(planted: Sabotage) -> Option<(u64, String)> {
    (1..=400).find_map(|seed| run(seed, Some(planted)).violations.into_iter().next().map(|what| (seed, what)))
}

#[test]
fn each_planted_bug_is_caught() {
    for planted in Sabotage::ALL {
        let caught = first_caught(planted);
        println!("{planted:?}: {caught:?}");
        assert!(caught.is_some(), "{planted:?} goes unnoticed");
    }
}

#[test]
#[ignore]
fn survey() {
    let mut bad = 0;
    let mut all = Counts::default();
    for seed in 1..=number("HANDBELL_SIM_RUNS").unwrap_or(300) {
        let outcome = run(seed, None);
        all.add(&outcome.counts);
        if let Some(first) = outcome.violations.first() {
            bad += 1;
            println!("{seed}: {}", first.chars().take(230).collect::<String>());
        }
    }
    println!("bad {bad} {all:?}");
}
