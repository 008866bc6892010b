//! The suite catches what it is there for: each planted bug makes a case fail
//! that names it, and the same cases pass where nothing lies.

#[path = "conformance/provider.rs"]
mod provider;

use std::{sync::Arc, time::Duration};

use handbell_backend_conformance::{
    Case, Provider, cases, run_case,
    sabotage::{Lie, Sabotaged, lose_patience},
};
use provider::Embedded;

/// Each lie, and the cases that must find it.
const CAUGHT: &[(Lie, &[&str])] = &[
    (Lie::ReceiptBeforeWrite, &["an_acknowledged_record_survives_a_crash"]),
    (Lie::OrderIgnored, &["records_are_stored_in_the_order_in_which_their_batches_were_handed_over"]),
    (Lie::DelayIgnored, &["a_nak_comes_again_after_its_delay_and_not_before", "a_delay_is_kept_short_or_long"]),
    (Lie::RedeliveryLost, &["a_counted_nak_raises_the_attempt_and_an_uncounted_one_does_not"]),
    (Lie::RetryUnderOldId, &["a_long_delay_comes_once_to_that_group_alone"]),
    (
        Lie::FenceIgnored,
        &[
            "a_stale_version_is_fenced_and_changes_nothing",
            "one_of_concurrent_stores_wins",
            "of_two_that_make_a_group_at_once_one_wins",
        ],
    ),
    (Lie::LevelEarly, &["level_comes_once_behind_everything_that_was_there"]),
    (
        Lie::DedupIgnored,
        &["a_duplicate_comes_out_of_no_tail_and_no_queue", "one_resend_among_999_others_is_the_only_duplicate"],
    ),
    (Lie::TrimmedSilently, &["a_tail_from_a_position_that_is_gone_is_told"]),
    (
        Lie::AttemptForgotten,
        &["what_is_dropped_unsettled_is_lent_again", "attempts_survive_a_crash_and_blame_no_neighbour"],
    ),
    (Lie::ExtendIgnored, &["extend_keeps_a_record", "extend_shortens_a_lease_too"]),
    (Lie::LateSettlementCounts, &["a_late_settlement_has_no_effect", "settlements_are_answered_in_order"]),
    (Lie::PayloadRewritten, &["payloads_pass_byte_for_byte"]),
    (Lie::CancelLoses, &["a_dropped_call_loses_nothing", "a_dropped_pull_loses_nothing_and_counts_nothing"]),
    (Lie::LanesIgnored, &["express_comes_before_regular_and_oldest_first_within_a_lane"]),
    // The last: its members hand the same events back to one another for ever.
    (Lie::FilterOfAMember, &["every_member_passes_over_by_the_groups_filter_alone"]),
];

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap_or_else(|| panic!("there is no case {name}"))
}

async fn outcome(lie: Lie, name: &str) -> Result<(), String> {
    let provider = Sabotaged::new(Embedded::new(true) as Arc<dyn Provider>, lie);
    run_case(provider, &case(name)).await.map_err(|failure| failure.to_string())
}

/// Runs pairs of lie and case, a few at a time.
async fn outcomes(pairs: Vec<(Lie, &'static str)>) -> Vec<(Lie, &'static str, Result<(), String>)> {
    let mut pairs = pairs.into_iter();
    let mut running = tokio::task::JoinSet::new();
    let mut done = vec![];
    loop {
        while running.len() < 4
            && let Some((lie, name)) = pairs.next()
        {
            running.spawn(async move { (lie, name, outcome(lie, name).await) });
        }
        match running.join_next().await {
            None => return done,
            Some(one) => {
                let one = one.expect("a case doesn't panic");
                println!("{:?}: {}: {:?}", one.0, one.1, one.2);
                done.push(one);
            }
        }
    }
}

fn pairs(lie: impl Fn(Lie) -> Lie) -> Vec<(Lie, &'static str)> {
    CAUGHT.iter().flat_map(|(own, names)| names.iter().map(|name| (lie(*own), *name))).collect()
}

#[test]
fn every_planted_bug_is_caught_by_each_case_that_names_it_and_honesty_passes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(each_is_caught());
    // What a planted bug has set going doesn't end by itself.
    runtime.shutdown_background();
}

async fn each_is_caught() {
    let mut honest = outcomes(pairs(|_| Lie::Honest)).await;
    honest.retain(|(_, _, outcome)| outcome.is_err());
    assert!(honest.is_empty(), "failed without a lie: {honest:#?}");
    // What must come will not come: no need to wait as long as for an honest one.
    lose_patience(Duration::from_secs(8));
    let mut missed = outcomes(pairs(|lie| lie)).await;
    missed.retain(|(_, _, outcome)| outcome.is_ok());
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}
