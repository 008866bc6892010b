//! The cases, by chapter.

mod cells;
mod content;
mod crashes;
mod dead_letters;
mod dedup;
mod direct;
mod durability;
mod fanout;
mod filters;
mod flow;
mod gaps;
mod group_settings;
mod groups;
mod keys;
mod leases;
mod log;
mod moves;
mod publish;
mod queue;
mod queue_attempts;
mod queue_leases;
mod replay;
mod replies;
mod retention;
mod retries;
mod shared;
mod shutdown;
mod tail;
mod unordered;
mod volume;

use crate::Case;

/// Every case, in the order of the matrix.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = [
        publish::CASES,
        durability::CASES,
        dedup::CASES,
        content::CASES,
        tail::CASES,
        replay::CASES,
        retention::CASES,
        cells::CASES,
        queue::CASES,
        queue_leases::CASES,
        queue_attempts::CASES,
        log::CASES,
        groups::CASES,
        group_settings::CASES,
        filters::CASES,
        fanout::CASES,
        flow::CASES,
        gaps::CASES,
        keys::CASES,
        retries::CASES,
        leases::CASES,
        dead_letters::CASES,
        unordered::CASES,
        crashes::CASES,
        moves::CASES,
        shutdown::CASES,
        direct::CASES,
        replies::CASES,
        shared::CASES,
        volume::CASES,
    ]
    .concat();
    cases.sort_by_key(|case| case.chapter);
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_case_has_its_sentence() {
        let cases = cases();
        let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.iter().all(|case| case.obligation.ends_with('.')));
    }
}
