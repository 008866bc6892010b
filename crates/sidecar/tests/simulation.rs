//! Thousands of courses of events, each from one seed, each checked at every
//! effect of every session.
//!
//! - `HANDBELL_SIM_SEED=… cargo test -p handbell-sidecar --test simulation`
//!   replays one seed.
//! - `HANDBELL_SIM_TRACE=1` beside it, and `-- --nocapture`, prints what happens.
//! - `HANDBELL_SIM_RUNS` sets how many seeds are run.

mod sim;

use std::thread;

use handbell_sidecar::session::Sabotage;
use handbell_test_support::seeds;
use sim::{
    end::Counts,
    plan::{Outcome, run},
};

const PACKAGE: &str = "handbell-sidecar";

/// Runs each `step`th seed from `first`; stops at the first that fails.
fn run_some(first: u64, runs: u64, step: usize) -> Result<Counts, (u64, Box<Outcome>)> {
    let mut all = Counts::default();
    for seed in (first..=runs).step_by(step) {
        let outcome = run(seed, None);
        if !outcome.violations.is_empty() {
            return Err((seed, Box::new(outcome)));
        }
        all.add(&outcome.counts);
    }
    Ok(all)
}

#[test]
fn what_is_promised_holds_whatever_the_seed() {
    if seeds::replayed(PACKAGE, |seed| run(seed, None).violations) {
        return;
    }
    let runs = seeds::runs(2_000);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    let mut all = Counts::default();
    thread::scope(|scope| {
        let running: Vec<_> =
            (1..=threads as u64).map(|first| scope.spawn(move || run_some(first, runs, threads))).collect();
        for one in running {
            match one.join().expect("a run doesn't panic") {
                Ok(counts) => all.add(&counts),
                Err((seed, outcome)) => seeds::fail(PACKAGE, seed, &outcome.violations),
            }
        }
    });
    println!("{runs} seeds: {all:?}");
    enough_has_happened(&all, runs as usize);
}

/// A simulation in which little succeeds, or little goes wrong, shows nothing.
fn enough_has_happened(all: &Counts, runs: usize) {
    assert!(all.items > runs * 30, "too little is published");
    assert!(all.published * 10 > all.items * 8, "only {} of {} publishes succeed", all.published, all.items);
    assert!(all.delivered > runs * 25 && all.settled > runs * 25, "too little is delivered and settled");
    assert!(all.confirmed * 10 > all.settled * 4, "too little is told as settled");
    assert!(all.replies > runs * 2, "too few calls are answered");
    assert!(all.told_open > runs * 5 && all.gone > runs, "too little goes wrong");
    assert!(all.resumed_here * 3 > runs && all.resumed_elsewhere * 3 > runs, "too few sessions are resumed");
    assert!(all.not_read * 10 > runs && all.too_slow * 20 > runs, "too few agents read slowly");
}

/// The first seed whose course a planted bug spoils in this way, among the
/// first few hundred.
fn first_caught(planted: Sabotage, how: &str) -> Option<(u64, String)> {
    (1..=600).find_map(|seed| {
        let violations = run(seed, Some(planted)).violations;
        violations.into_iter().find(|what| what.contains(how)).map(|what| (seed, what))
    })
}

#[test]
fn each_planted_bug_is_caught() {
    for (planted, how) in [
        (Sabotage::PublishedEarly, "before the broker's answer"),
        (Sabotage::DoubtIsSuccess, "before the broker's answer"),
        (Sabotage::ResumeForgotten, "is stored twice"),
        (Sabotage::GoBackIgnored, "is open"),
        (Sabotage::WindowIgnored, "publishes are unanswered"),
        (Sabotage::CreditIgnored, "has a ceiling of"),
        (Sabotage::SettledBeforeOutputs, "the agent has said"),
        (Sabotage::OutputsRenumbered, "is stored twice"),
        (Sabotage::RefusedOutputsStored, "never"),
        (Sabotage::OldDeliveriesAccepted, "the agent has said"),
        (Sabotage::SettledTwice, "settled twice"),
        (Sabotage::DeliveredBeforeSubscribed, "before subscribed"),
        (Sabotage::NotToldAgain, "isn't told again"),
        (Sabotage::SecondReply, "has a second reply"),
        (Sabotage::SettledEarly, "is told as settled"),
    ] {
        let caught = first_caught(planted, how);
        println!("{planted:?}: {caught:?}");
        assert!(caught.is_some(), "{planted:?} goes unnoticed");
    }
}
