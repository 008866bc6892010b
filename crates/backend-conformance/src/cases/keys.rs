//! Order per key, while other keys go on.

use std::{collections::BTreeSet, time::Duration};

use handbell_backend::{Partition, partition_of};
use handbell_delivery::ConsumerEvent;
use handbell_protocol::Priority;

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Crew, Hand, ack, event, group, nack, nack_in, number, put_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Redelivery,
        a_key_has_one_unsettled_delivery_while_other_keys_go_on,
        "At most one delivery per group, partition key and lane is valid, over all sessions and members; other keys go on."
    ),
    case!(
        Redelivery,
        a_failed_key_waits_while_other_keys_go_on,
        "A nacked one holds its key until it comes back; other keys go on."
    ),
    case!(
        Redelivery,
        a_key_that_waits_long_keeps_its_order,
        "A key is held while the retry channel has an unsettled event of it."
    ),
    case!(Redelivery, events_without_a_key_have_no_order_with_anything, "No partition_key: no order with anything."),
    case!(Redelivery, lanes_of_a_key_go_apart, "Order holds per topic, partition key and lane."),
    case!(
        Redelivery,
        many_keys_that_wait_long_hold_up_no_other,
        "Long waits of many keys and one long work hold up no other key."
    )
    .schedules(&[37]),
];

async fn a_key_has_one_unsettled_delivery_while_other_keys_go_on(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let mut hands =
        [Hand::group(&one, group("g", &["t"])?, 64).await?, Hand::group(&two, group("g", &["t"])?, 64).await?];
    let draft = |n: u64| Ok(event("t", n)?.key(&format!("k{}", n % 4)));
    put_all(&*backend, (0..40).map(draft).collect::<Outcome<_>>()?).await?;
    // Nobody settles: however long one watches, one of each key is out.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut keys = vec![];
    for hand in &mut hands {
        keys.extend(hand.told().await.iter().filter_map(delivered_number).map(|n| n % 4));
    }
    let distinct: BTreeSet<_> = keys.iter().collect();
    ensure_eq!(keys.len(), distinct.len(), "deliveries of distinct keys ({keys:?})");
    let done = Crew::new(hands).exactly(0..40).await?;
    for key in 0..4 {
        let of_key: Vec<_> = done.iter().map(|done| done.number).filter(|n| n % 4 == key).collect();
        ensure!(of_key.is_sorted(), "key {key} came as {of_key:?}");
    }
    Ok(())
}

fn delivered_number(event: &ConsumerEvent) -> Option<u64> {
    match event {
        ConsumerEvent::Deliver(delivered) => Some(number(&delivered.record)),
        _ => None,
    }
}

async fn a_failed_key_waits_while_other_keys_go_on(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut hand = Hand::group(&member, group("g", &["t"])?, 64).await?;
    let rows = [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 5)];
    let drafts = rows.map(|(key, n)| Ok(event("t", n)?.key(key)));
    put_all(&*backend, drafts.into_iter().collect::<Outcome<Vec<_>>>()?).await?;
    let held = hand.hold(2).await?;
    let failed = held.iter().find(|delivered| number(&delivered.record) == 1);
    let worked = held.iter().find(|delivered| number(&delivered.record) == 3);
    let (Some(failed), Some(worked)) = (failed, worked) else {
        ensure!(false, "the first of each key should come first");
        return Ok(());
    };
    hand.nothing("both keys are held").await?;
    hand.settle(nack_in(failed, Duration::from_millis(1_500))).await?;
    hand.ack(worked).await?;
    ensure_eq!(hand.work(2).await?, [4, 5], "the other key goes on");
    let again = hand.delivery().await?;
    ensure_eq!((number(&again.record), again.attempt), (1, 2), "the failed one, before its key goes on");
    hand.nothing("the key is held").await?;
    hand.settle(nack(&again)).await?;
    let third = hand.delivery().await?;
    ensure_eq!((number(&third.record), third.attempt), (1, 3), "the failed one");
    hand.ack(&third).await?;
    ensure_eq!(hand.work(1).await?, [2], "the failed key goes on");
    Ok(())
}

async fn a_key_that_waits_long_keeps_its_order(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut hand = Hand::group(&member, group("g", &["t"])?, 64).await?;
    put_all(&*backend, (1..=3).map(|n| Ok(event("t", n)?.key("a"))).collect::<Outcome<_>>()?).await?;
    let first = hand.delivery().await?;
    hand.settle(nack_in(&first, Duration::from_millis(2_500))).await?;
    // While it waits, its key gets more, and others are served.
    put_all(&*backend, vec![event("t", 4)?.key("a"), event("t", 10)?.key("b")]).await?;
    ensure_eq!(hand.work(1).await?, [10], "another key");
    ensure_eq!(hand.work(4).await?, [1, 2, 3, 4], "the key that waited");
    Ok(())
}

async fn events_without_a_key_have_no_order_with_anything(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut hand = Hand::group(&member, group("g", &["t"])?, 64).await?;
    put_all(&*backend, (0..30).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let held = hand.hold(30).await?;
    let numbers: BTreeSet<_> = held.iter().map(|delivered| number(&delivered.record)).collect();
    ensure_eq!(numbers.len(), 30, "all are out at once");
    Ok(())
}

async fn lanes_of_a_key_go_apart(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut hand = Hand::group(&member, group("g", &["t"])?, 64).await?;
    let drafts = (0..4).map(|n| {
        let priority = if n % 2 == 0 { Priority::Normal } else { Priority::High };
        Ok(event("t", n)?.key("k").priority(priority))
    });
    put_all(&*backend, drafts.collect::<Outcome<_>>()?).await?;
    let held = hand.hold(2).await?;
    let mut numbers: Vec<_> = held.iter().map(|delivered| number(&delivered.record)).collect();
    numbers.sort_unstable();
    ensure_eq!(numbers, [0, 1], "the first of each lane");
    hand.nothing("both lanes of the key are held").await?;
    hand.consumer.settle(held.iter().map(ack).collect());
    let mut rest = hand.work(2).await?;
    rest.sort_unstable();
    ensure_eq!(rest, [2, 3], "the rest");
    Ok(())
}

async fn many_keys_that_wait_long_hold_up_no_other(bench: Bench) -> Outcome {
    // More than a partition may have unsettled, all in one partition.
    const KEYS: u64 = 1_200;
    const WAIT: Duration = Duration::from_secs(12);
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let partitions = backend.capabilities().partitions;
    let keys = (0..).map(|n| format!("k{n}")).filter(|key| partition_of(key, partitions) == Partition(0));
    let keys: Vec<String> = keys.take(KEYS as usize + 20).collect();
    let mut hand = Hand::group(&member, group("g", &["t"])?, 512).await?;
    // All fail; behind them the others; behind these each key again, which must wait for its first.
    let others = (0..20).map(|n| (10_000 + n, KEYS + n));
    let rows = (0..KEYS).map(|n| (n, n)).chain(others).chain((KEYS..2 * KEYS).map(|n| (n, n % KEYS)));
    let drafts = rows.map(|(n, key)| Ok(event("t", n)?.key(&keys[key as usize])));
    put_all(&*backend, drafts.collect::<Outcome<_>>()?).await?;
    let mut done = vec![];
    while done.len() < 2 * KEYS as usize + 20 {
        let delivered = hand.delivery().await?;
        let n = number(&delivered.record);
        if n < KEYS && delivered.attempt == 1 {
            hand.consumer.settle(vec![nack_in(&delivered, WAIT)]);
        } else {
            done.push(n);
            hand.consumer.settle(vec![ack(&delivered)]);
        }
    }
    let (others, rest) = done.split_at(20);
    ensure!(others.iter().all(|n| *n >= 10_000), "other keys were held up by those that wait: {others:?} came first");
    let mut seen = BTreeSet::new();
    for n in rest {
        ensure!(*n < KEYS || seen.contains(&(n % KEYS)), "number {n} came before {}", n % KEYS);
        ensure!(seen.insert(*n), "number {n} was handed out again after its ack");
    }
    Ok(())
}
