//! What comes again: when, how often, under which name.

use std::time::Duration;

use handbell_backend::{Backend, Class, Start};
use handbell_delivery::{GroupSettings, Leave, Verdict};
use handbell_protocol::{
    Lane,
    frame::{Backoff, Order, RetryPolicy},
};
use tokio::time::Instant;

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Hand, all_of, event, group, nack, nack_in, number, put_one, read_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Redelivery,
        a_nack_comes_again_with_the_attempt_raised,
        "Attempt starts at 1 and is raised by nack; the idempotency key is the same for all attempts."
    )
    .schedules(&[25]),
    case!(
        Redelivery,
        a_delay_is_kept_short_or_long,
        "Delay present: exactly that, from now."
    ),
    case!(
        Redelivery,
        the_policy_says_when_where_no_delay_is_given,
        "Delay absent: the policy's."
    ),
    case!(
        Redelivery,
        a_long_delay_comes_once_to_that_group_alone,
        "Written again, an event keeps its ID but is a new message in the retry channel of the one group that failed; its dedup key is never the original's."
    )
    .schedules(&[1]),
    case!(
        Redelivery,
        rolling_restarts_do_not_move_an_attempt,
        "Attempt is not raised by drain, a planned move, release, unsubscribe or bye."
    )
    .schedules(&[22]),
    case!(
        Redelivery,
        leaving_while_work_is_on_its_way_counts_nothing,
        "What was not yet handed out when a member leaves is given back, uncounted, whenever it leaves."
    ),
    case!(
        Redelivery,
        a_release_counts_nothing,
        "Release: not started, handed to somebody else, no attempt counted."
    ),
    case!(
        Redelivery,
        an_idempotency_key_is_of_event_and_receiver,
        "The idempotency key is the same for all attempts, and another for another receiver."
    )
    .schedules(&[25]),
];

fn ordered(name: &str, order: Order) -> Outcome<GroupSettings> {
    Ok(GroupSettings { order: Some(order), ..group(name, &["t"])? })
}

async fn a_nack_comes_again_with_the_attempt_raised(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let stored = put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in [Order::Key, Order::None] {
        let mut hand = Hand::group(&member, ordered(&format!("{order:?}"), order)?, 8).await?;
        let mut key = None;
        for attempt in 1..=4 {
            let delivered = hand.delivery().await?;
            ensure_eq!(delivered.attempt, attempt, "the attempt");
            ensure_eq!(delivered.record.position, stored.position, "the position at attempt {attempt}");
            let first = key.get_or_insert_with(|| delivered.idempotency_key.clone());
            ensure_eq!(delivered.idempotency_key, *first, "the idempotency key at attempt {attempt}");
            if attempt < 4 {
                hand.settle(nack(&delivered)).await?;
            } else {
                hand.ack(&delivered).await?;
            }
        }
        hand.nothing("it is acked").await?;
    }
    Ok(())
}

async fn a_delay_is_kept_short_or_long(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in [Order::Key, Order::None] {
        let mut hand = Hand::group(&member, ordered(&format!("{order:?}"), order)?, 8).await?;
        for delay in [300, 2_300].map(Duration::from_millis) {
            let delivered = hand.delivery().await?;
            let begun = Instant::now();
            hand.settle(nack_in(&delivered, delay)).await?;
            let again = hand.delivery().await?;
            let waited = begun.elapsed();
            ensure_eq!((number(&again.record), again.attempt), (1, delivered.attempt + 1), "what comes again");
            // A due time may be cut to milliseconds.
            let early = waited + Duration::from_millis(5) < delay;
            ensure!(!early, "{order:?}: came again after {waited:?}, delayed by {delay:?}");
            hand.settle((again.token, Verdict::Release)).await?;
        }
    }
    Ok(())
}

async fn the_policy_says_when_where_no_delay_is_given(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    let retry = RetryPolicy {
        max_retries: 2,
        backoff_type: Backoff::Exponential,
        initial_delay: Duration::from_millis(300),
        ..RetryPolicy::default()
    };
    for order in [Order::Key, Order::None] {
        let settings = GroupSettings { retry: Some(retry.clone()), ..ordered(&format!("{order:?}"), order)? };
        let mut hand = Hand::group(&member, settings, 8).await?;
        for (attempt, wait) in [(1, 300), (2, 600)] {
            let delivered = hand.delivery().await?;
            ensure_eq!(delivered.attempt, attempt, "the attempt");
            let begun = Instant::now();
            hand.settle(nack(&delivered)).await?;
            let again = hand.delivery().await?;
            let waited = begun.elapsed();
            let early = waited + Duration::from_millis(5) < Duration::from_millis(wait);
            ensure!(!early, "{order:?}: attempt {} came after {waited:?}, the policy says {wait} ms", again.attempt);
            hand.settle((again.token, Verdict::Release)).await?;
        }
        let last = hand.delivery().await?;
        ensure_eq!(last.attempt, 3, "the last attempt");
        hand.ack(&last).await?;
    }
    Ok(())
}

async fn a_long_delay_comes_once_to_that_group_alone(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut failing = Hand::group(&member, group("failing", &["t"])?, 8).await?;
    let mut other = Hand::group(&member, group("other", &["t"])?, 8).await?;
    let stored = put_one(&*backend, event("t", 1)?.key("k").id("evt-original").digest("p#1", 1)).await?;
    ensure_eq!(other.work(1).await?, [1], "the other group");
    let first = failing.delivery().await?;
    // Long, and within any broker's dedup window.
    failing.settle(nack_in(&first, Duration::from_millis(2_300))).await?;
    let again = failing.delivery().await?;
    ensure_eq!((number(&again.record), again.attempt), (1, 2), "what comes again");
    ensure_eq!(again.record.envelope.event.id, "evt-original", "its ID");
    ensure_eq!(again.record.position, stored.position, "its position");
    ensure_eq!(again.record.topic.as_str(), "t", "its topic");
    ensure_eq!(again.idempotency_key, first.idempotency_key, "its idempotency key");
    // Twice the same: the second writing must not count as a repeat of the first.
    failing.settle(nack_in(&again, Duration::from_millis(2_300))).await?;
    let third = failing.delivery().await?;
    ensure_eq!((number(&third.record), third.attempt), (1, 3), "what comes a third time");
    failing.ack(&third).await?;
    failing.nothing("it is acked").await?;
    other.nothing("another group's failures are its own").await?;
    only_one_record(&*backend).await
}

/// The topic itself must not have got a second one.
async fn only_one_record(backend: &dyn Backend) -> Outcome {
    let records = read_all(backend, all_of(backend, Class::Ev, Lane::Regular, Start::Oldest)).await?;
    ensure_eq!(records.len(), 1, "records on the topic after retries");
    Ok(())
}

async fn rolling_restarts_do_not_move_an_attempt(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in [Order::Key, Order::None] {
        let settings = ordered(&format!("{order:?}"), order)?;
        let member = bench.member().await?;
        let mut hand = Hand::group(&member, settings.clone(), 8).await?;
        let delivered = hand.delivery().await?;
        hand.settle(nack_in(&delivered, Duration::from_millis(2_500))).await?;
        hand.leave(Leave::Clean);
        member.leave().await;
        // In its wait at first, later in somebody's hands who hasn't begun.
        for _ in 0..10 {
            let member = bench.member().await?;
            let mut hand = Hand::group(&member, settings.clone(), 8).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            member.drain().await;
            hand.told().await;
            hand.leave(Leave::Clean);
            member.leave().await;
        }
        let member = bench.member().await?;
        let mut hand = Hand::group(&member, settings, 8).await?;
        let delivered = hand.delivery().await?;
        ensure_eq!(delivered.attempt, 2, "{order:?}: the attempt after ten rolling restarts");
        hand.ack(&delivered).await?;
    }
    Ok(())
}

async fn leaving_while_work_is_on_its_way_counts_nothing(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in [Order::Key, Order::None] {
        let settings = ordered(&format!("{order:?}"), order)?;
        // From before it can have been read to after it was handed out.
        for step in 0..60 {
            let member = bench.member().await?;
            let hand = Hand::group(&member, settings.clone(), 1).await?;
            tokio::time::sleep(Duration::from_micros(100 * step)).await;
            hand.leave(Leave::Clean);
            member.leave().await;
        }
        let member = bench.member().await?;
        let mut hand = Hand::group(&member, settings, 1).await?;
        let delivered = hand.delivery().await?;
        ensure_eq!(delivered.attempt, 1, "{order:?}: the attempt after sixty members have come and gone");
        hand.ack(&delivered).await?;
    }
    Ok(())
}

async fn a_release_counts_nothing(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in [Order::Key, Order::None] {
        let mut hand = Hand::group(&member, ordered(&format!("{order:?}"), order)?, 8).await?;
        for _ in 0..5 {
            let delivered = hand.delivery().await?;
            ensure_eq!(delivered.attempt, 1, "{order:?}: the attempt after a release");
            hand.settle((delivered.token, Verdict::Release)).await?;
        }
        let delivered = hand.delivery().await?;
        hand.ack(&delivered).await?;
    }
    Ok(())
}

async fn an_idempotency_key_is_of_event_and_receiver(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    put_one(&*backend, event("t", 2)?.key("k2")).await?;
    let mut keys = vec![];
    for order in [Order::Key, Order::None] {
        let mut hand = Hand::group(&member, ordered(&format!("{order:?}"), order)?, 8).await?;
        keys.extend(hand.hold(2).await?.into_iter().map(|delivered| delivered.idempotency_key));
        hand.leave(Leave::Lost);
    }
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    ensure_eq!(distinct.len(), 4, "keys of two events for two groups: {keys:?}");
    Ok(())
}
