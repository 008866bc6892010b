//! Thousands of courses of events, each from one seed, each checked at every
//! output. `HANDBELL_SIM_SEED` replays one, `HANDBELL_SIM_RUNS` sets how many.

mod sim;

use handbell_groups::Sabotage;
use handbell_test_support::seeds;
use sim::plan::run;

const PACKAGE: &str = "handbell-groups";

#[test]
fn nothing_is_lost_doubled_or_disordered_whatever_the_seed() {
    if seeds::replayed(PACKAGE, |seed| run(seed, None).violations) {
        return;
    }
    let runs = seeds::runs(2_000);
    let mut all = (0, 0, 0, 0, 0);
    for seed in 1..=runs {
        let outcome = run(seed, None);
        if !outcome.violations.is_empty() {
            seeds::fail(PACKAGE, seed, &outcome.violations);
        }
        all.0 += outcome.events;
        all.1 += outcome.acked;
        all.2 += outcome.letters;
        all.3 += outcome.settled;
        all.4 += outcome.redelivered;
    }
    let (events, acked, letters, settled, redelivered) = all;
    println!("{events} events: {acked} acked, {letters} dead letters, {settled} settled, {redelivered} redelivered");
    assert!(acked * 10 > events * 7, "only {acked} of {events} events were acked: the simulation does nothing");
    assert!(settled > acked / 2 && redelivered > events / 20 && letters > events / 100, "too little happens");
}

/// The first seed whose course a planted bug spoils, among the first few hundred.
fn first_caught(planted: Sabotage) -> Option<(u64, String)> {
    (1..=400).find_map(|seed| run(seed, Some(planted)).violations.into_iter().next().map(|what| (seed, what)))
}

#[test]
fn each_planted_bug_is_caught() {
    for planted in [
        Sabotage::CursorAfterHandingOut,
        Sabotage::KeyHoldIgnored,
        Sabotage::DelayIgnored,
        Sabotage::AttemptNotStored,
        Sabotage::RetryAfterSettle,
        Sabotage::FenceIgnored,
        Sabotage::SuspectsAtOnce,
        Sabotage::SettledEarly,
    ] {
        let caught = first_caught(planted);
        println!("{planted:?}: {caught:?}");
        assert!(caught.is_some(), "{planted:?} goes unnoticed");
    }
}
