//! Fan-outs: everything for everyone, for as long as they are there.

use std::time::Duration;

use handbell_backend::{Class, Start};
use handbell_delivery::{ConsumerEvent, FanoutSpec, Leave};
use handbell_protocol::{Lane, frame::From};

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Crew, Hand, all_of, event, fanout, nack, nack_in, number, put_all, put_one, read_all, reject},
};

pub(super) const CASES: &[Case] = &[
    case!(Groups, every_fan_out_gets_everything, "Without a group a subscription is a fan-out of its own."),
    case!(Groups, a_fan_out_ends_with_its_consumer, "A fan-out ends with the session: nothing of it is left behind."),
    case!(
        Redelivery,
        a_fan_out_tries_again_by_itself_and_gives_up_without_a_dead_letter,
        "A fan-out has no group: its retries live in its session; what it gives up is counted, without a dead letter."
    ),
    case!(
        Groups,
        a_fan_out_keeps_the_order_of_a_key,
        "Order is kept per partition key while other keys go on, in a fan-out too."
    ),
    case!(
        Groups,
        a_fan_out_is_told_once_that_it_is_level,
        "Everything that was there at the beginning has been handed out; once."
    ),
    case!(
        Groups,
        a_fan_out_begins_where_it_was_told,
        "From is start, new, a time or a position, inclusive in its own partition and lane."
    ),
];

async fn every_fan_out_gets_everything(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let mut crews = vec![];
    for member in [&one, &one, &two] {
        crews.push(Crew::new([Hand::fanout(member, fanout(&["t"])?, 16).await?]));
    }
    put_all(&*backend, (0..200).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    for crew in &mut crews {
        crew.exactly(0..200).await?;
    }
    Ok(())
}

async fn a_fan_out_ends_with_its_consumer(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let spec = FanoutSpec { from: From::New, ..fanout(&["t"])? };
    let mut first = Hand::fanout(&member, spec.clone(), 16).await?;
    put_one(&*backend, event("t", 1)?).await?;
    first.delivery().await?;
    first.leave(Leave::Lost);
    put_one(&*backend, event("t", 2)?).await?;
    let mut second = Hand::fanout(&member, spec, 16).await?;
    put_one(&*backend, event("t", 3)?).await?;
    ensure_eq!(second.work(1).await?, [3], "what a new fan-out gets");
    second.nothing("it was another fan-out's").await?;
    ensure!(member.groups().await?.is_empty(), "a fan-out left a group behind");
    Ok(())
}

async fn a_fan_out_tries_again_by_itself_and_gives_up_without_a_dead_letter(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut failing = Hand::fanout(&member, fanout(&["t"])?, 16).await?;
    let mut other = Hand::fanout(&member, FanoutSpec { receiver: "/other s1".into(), ..fanout(&["t"])? }, 16).await?;
    put_one(&*backend, event("t", 1)?).await?;
    for attempt in 1..=4 {
        let delivered = failing.delivery().await?;
        ensure_eq!((number(&delivered.record), delivered.attempt), (1, attempt), "number and attempt");
        let long = nack_in(&delivered, Duration::from_millis(2_100));
        failing.settle(if attempt == 2 { long } else { nack(&delivered) }).await?;
    }
    failing.nothing("it was given up").await?;
    put_one(&*backend, event("t", 2)?).await?;
    let rejected = failing.delivery().await?;
    ensure_eq!((number(&rejected.record), rejected.attempt), (2, 1), "what comes next");
    failing.settle(reject(&rejected, "unreadable")).await?;
    failing.nothing("it was rejected").await?;
    ensure_eq!(other.work(2).await?, [1, 2], "what another fan-out gets");
    other.nothing("another fan-out's failures are its own").await?;
    let letters = read_all(&*backend, all_of(&*backend, Class::Dlq, Lane::Regular, Start::Oldest)).await?;
    ensure!(letters.is_empty(), "a fan-out wrote {} dead letters", letters.len());
    Ok(())
}

async fn a_fan_out_keeps_the_order_of_a_key(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let drafts = [("a", 1), ("a", 2), ("b", 3), ("b", 4)].map(|(key, n)| Ok(event("t", n)?.key(key)));
    put_all(&*backend, drafts.into_iter().collect::<Outcome<Vec<_>>>()?).await?;
    let mut hand = Hand::fanout(&member, fanout(&["t"])?, 16).await?;
    let held = hand.hold(2).await?;
    let mut first: Vec<_> = held.iter().map(|delivered| number(&delivered.record)).collect();
    first.sort_unstable();
    ensure_eq!(first, [1, 3], "what is handed out first");
    hand.nothing("both keys are held").await?;
    for delivered in &held {
        hand.ack(delivered).await?;
    }
    let mut rest = hand.work(2).await?;
    rest.sort_unstable();
    ensure_eq!(rest, [2, 4], "what follows");
    Ok(())
}

async fn a_fan_out_is_told_once_that_it_is_level(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (0..50).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let mut hand = Hand::fanout(&member, fanout(&["t"])?, 8).await?;
    let mut before = 0;
    loop {
        match crate::fixture::within("deliveries, then level", hand.event()).await? {
            ConsumerEvent::Deliver(delivered) => {
                before += 1;
                hand.ack(&delivered).await?;
            }
            ConsumerEvent::Level => break,
            _ => {}
        }
    }
    ensure_eq!(before, 50, "deliveries before the fan-out was level");
    put_all(&*backend, (50..60).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    hand.work(10).await?;
    hand.nothing("everything is done").await?;
    let again = hand.told().await.iter().any(|event| matches!(event, ConsumerEvent::Level));
    ensure!(!again, "the fan-out was level twice");
    Ok(())
}

async fn a_fan_out_begins_where_it_was_told(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let draft = |n| Ok(event("t", n)?.key("k"));
    put_all(&*backend, (0..5).map(draft).collect::<Outcome<_>>()?).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let later = put_all(&*backend, (5..10).map(draft).collect::<Outcome<_>>()?).await?;
    for (from, first) in [
        (From::Start, 0),
        (From::Time(later[0].position.time), 5),
        (From::Position(later[2].position.to_string()), 7),
        (From::New, 10),
    ] {
        let mut hand = Hand::fanout(&member, FanoutSpec { from: from.clone(), ..fanout(&["t"])? }, 64).await?;
        ensure_eq!(hand.work(10 - first).await?, (first as u64..10).collect::<Vec<_>>(), "from {from:?}");
        hand.nothing("it lies before the beginning").await?;
    }
    Ok(())
}
