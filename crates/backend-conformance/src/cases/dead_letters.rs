//! What is given up, and what is written about it.

use std::{sync::Arc, time::Duration};

use handbell_backend::{Backend, Class, Record, Start, header};
use handbell_delivery::{GroupSettings, Verdict};
use handbell_protocol::{
    Json, Lane,
    frame::{Order, RetryPolicy},
};

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Hand, all_of, event, eventually, group, nack, nack_in, number, put_all, put_one, read_all, reject},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Redelivery,
        a_rejected_event_is_a_dead_letter_and_its_key_goes_on,
        "Reject: dead letter at once, and the key goes on."
    ),
    case!(
        Redelivery,
        after_the_last_attempt_it_is_a_dead_letter,
        "The policy says how often: four deliveries in all, then the dead letter queue."
    ),
    case!(
        Redelivery,
        a_class_that_is_not_tried_again_is_a_dead_letter_at_once,
        "A class in no_retry_on: dead letter at once, and the key goes on."
    ),
    case!(
        Redelivery,
        a_dead_letter_says_what_befell_it,
        "A dead letter carries topic, partition, offset, group, delivery count, class and reason, and the event as it was."
    ),
    case!(
        Redelivery,
        a_dead_letter_of_nearly_the_limit_fits,
        "A payload of nearly the limit can be dead-lettered with headers added."
    )
    .schedules(&[28]),
    case!(
        Redelivery,
        a_dead_letter_of_one_group_is_nothing_to_the_others,
        "What one group gives up, the other groups neither see again nor lose."
    )
    .schedules(&[2]),
];

const ORDERS: [Order; 2] = [Order::Key, Order::None];

fn settings(order: Order) -> Outcome<GroupSettings> {
    Ok(GroupSettings { order: Some(order), ..group(&format!("{order:?}"), &["t"])? })
}

/// All dead letters.
pub(super) async fn letters(backend: &dyn Backend) -> Outcome<Vec<Arc<Record>>> {
    read_all(backend, all_of(backend, Class::Dlq, Lane::Regular, Start::Oldest)).await
}

/// There must be that many dead letters, soon: a verdict is durable as soon as
/// the group's cursor says what is to become of it.
pub(super) async fn there_are(backend: &dyn Backend, count: usize) -> Outcome<Vec<Arc<Record>>> {
    eventually("a dead letter is written", || async { Ok(letters(backend).await?.len() >= count) }).await?;
    let letters = letters(backend).await?;
    ensure_eq!(letters.len(), count, "dead letters");
    Ok(letters)
}

/// There must be no dead letter.
pub(super) async fn none(backend: &dyn Backend) -> Outcome {
    let letters = letters(backend).await?;
    ensure!(letters.is_empty(), "{} dead letters, such as {:?}", letters.len(), letters.first());
    Ok(())
}

async fn a_rejected_event_is_a_dead_letter_and_its_key_goes_on(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (1..=2).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    for (before, order) in (0..).zip(ORDERS) {
        let mut hand = Hand::group(&member, settings(order)?, 1).await?;
        let first = hand.delivery().await?;
        hand.settle(reject(&first, "unreadable")).await?;
        there_are(&*backend, before + 1).await?;
        ensure_eq!(hand.work(1).await?, [if number(&first.record) == 1 { 2 } else { 1 }], "its key goes on");
        hand.nothing("one is given up, one is acked").await?;
    }
    Ok(())
}

async fn after_the_last_attempt_it_is_a_dead_letter(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for (before, order) in (0..).zip(ORDERS) {
        let mut hand = Hand::group(&member, settings(order)?, 1).await?;
        for attempt in 1..=4 {
            let delivered = hand.delivery().await?;
            ensure_eq!(delivered.attempt, attempt, "{order:?}: the attempt");
            ensure_eq!(letters(&*backend).await?.len(), before, "dead letters before attempt {attempt} has failed");
            hand.settle(nack(&delivered)).await?;
        }
        hand.nothing("it is given up").await?;
        there_are(&*backend, before + 1).await?;
    }
    Ok(())
}

async fn a_class_that_is_not_tried_again_is_a_dead_letter_at_once(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (1..=2).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let retry = RetryPolicy {
        retry_on: vec!["timeout".into(), "unauthorized".into()],
        no_retry_on: vec!["unauthorized".into()],
        ..RetryPolicy::default()
    };
    for (before, order) in (0..).zip(ORDERS) {
        let mut hand =
            Hand::group(&member, GroupSettings { retry: Some(retry.clone()), ..settings(order)? }, 1).await?;
        for class in ["unauthorized", "not_listed"] {
            let delivered = hand.delivery().await?;
            ensure_eq!(delivered.attempt, 1, "{order:?}: the attempt");
            let verdict = Verdict::Nack { class: class.into(), reason: "no".into(), delay: None };
            hand.settle((delivered.token, verdict)).await?;
        }
        hand.nothing("both are given up").await?;
        there_are(&*backend, 2 * before + 2).await?;
    }
    Ok(())
}

async fn a_dead_letter_says_what_befell_it(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let draft = event("t", 1)?.key("k").header(header::CALL, "c1");
    let envelope = draft.envelope.clone();
    let stored = put_one(&*backend, draft).await?;
    for (before, order) in (0..).zip(ORDERS) {
        let mut hand = Hand::group(&member, settings(order)?, 1).await?;
        let first = hand.delivery().await?;
        hand.settle(nack(&first)).await?;
        let second = hand.delivery().await?;
        hand.settle(reject(&second, "größer\nals ☃")).await?;
        let letters = there_are(&*backend, before + 1).await?;
        let group = format!("{order:?}");
        let mine: Vec<_> =
            letters.iter().filter(|letter| letter.headers.get(header::DLQ_GROUP) == Some(&*group)).collect();
        ensure_eq!(mine.len(), 1, "dead letters of group {group}");
        let letter = mine[0];
        ensure_eq!(*letter.envelope, envelope, "the event in the dead letter");
        ensure_eq!(letter.topic.as_str(), "t", "the dead letter's topic");
        let position = &stored.position;
        let origin = letter.headers.get(header::ORIGIN).and_then(|origin| origin.parse().ok());
        ensure_eq!(origin.as_ref(), Some(position), "where the event of {group}'s dead letter lay first");
        for (name, expected) in [
            (header::DLQ_TOPIC, "t".to_owned()),
            (header::DLQ_PARTITION, position.partition.to_string()),
            (header::DLQ_OFFSET, position.offset.to_string()),
            (header::DLQ_COUNT, "2".to_owned()),
            (header::DLQ_MESSAGE, "größer als ☃".to_owned()),
            (header::DLQ_CLASS, "rejected".to_owned()),
            (header::CALL, "c1".to_owned()),
        ] {
            ensure_eq!(letter.headers.get(name), Some(&*expected), "header {name} of {group}'s dead letter");
        }
    }
    Ok(())
}

async fn a_dead_letter_of_nearly_the_limit_fits(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let size = backend.capabilities().max_event - 4_096;
    let payload = Json::from_text(format!("\"{}\"", "x".repeat(size)))?;
    put_one(&*backend, event("t", 1)?.key("k").payload(payload.clone())).await?;
    for (before, order) in (0..).zip(ORDERS) {
        let mut hand = Hand::group(&member, settings(order)?, 1).await?;
        let first = hand.delivery().await?;
        // By way of the retry channel, which adds headers too.
        hand.settle(nack_in(&first, Duration::from_millis(2_100))).await?;
        let again = hand.delivery().await?;
        ensure_eq!(again.attempt, 2, "{order:?}: the attempt of a large event");
        hand.settle(reject(&again, &"because ".repeat(100))).await?;
        let letters = there_are(&*backend, before + 1).await?;
        ensure!(letters.iter().all(|letter| letter.envelope.payload == payload), "a dead letter's payload is cut");
    }
    Ok(())
}

async fn a_dead_letter_of_one_group_is_nothing_to_the_others(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut failing = Hand::group(&member, group("failing", &["t"])?, 1).await?;
    let mut others =
        [Hand::group(&member, group("a", &["t"])?, 1).await?, Hand::group(&member, group("b", &["t"])?, 1).await?];
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    let delivered = failing.delivery().await?;
    failing.settle(reject(&delivered, "no")).await?;
    for other in &mut others {
        ensure_eq!(other.work(1).await?, [1], "what another group gets");
        other.nothing("it is acked").await?;
    }
    there_are(&*backend, 1).await.map(drop)
}
