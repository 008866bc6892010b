//! Groups without order: more consumers than partitions, no key holds another.

use std::{collections::BTreeSet, time::Duration};

use handbell_delivery::{GroupSettings, Leave};
use handbell_protocol::frame::Order;

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Crew, Hand, ack, event, group, nack_in, number, put_all, reject},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Groups,
        without_order_a_group_may_have_more_consumers_than_partitions,
        "Order none: no order; a pool may be larger than there are partitions."
    ),
    case!(Groups, without_order_a_key_holds_up_nothing, "Order none: events of one key are out at once."),
    case!(
        Faults,
        without_order_attempts_survive_a_crash,
        "After a crash the unsettled are handed out again with the attempt raised, what waited without."
    )
    .needs(&[Need::Crash]),
];

fn settings() -> Outcome<GroupSettings> {
    Ok(GroupSettings { order: Some(Order::None), ..group("g", &["t"])? })
}

async fn without_order_a_group_may_have_more_consumers_than_partitions(bench: Bench) -> Outcome {
    const CONSUMERS: usize = 48;
    let members = [bench.member().await?, bench.member().await?, bench.member().await?];
    let backend = bench.open().await?;
    let mut hands = vec![];
    for n in 0..CONSUMERS {
        hands.push(Hand::group(&members[n % 3], settings()?, 1).await?);
    }
    put_all(&*backend, (0..CONSUMERS as u64).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    // Nobody settles: each has to have one.
    let mut numbers = BTreeSet::new();
    for hand in &mut hands {
        numbers.insert(number(&hand.delivery().await?.record));
    }
    ensure_eq!(numbers.len(), CONSUMERS, "distinct events in {CONSUMERS} hands");
    Ok(())
}

async fn without_order_a_key_holds_up_nothing(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (0..10).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let mut hand = Hand::group(&member, settings()?, 10).await?;
    let held = hand.hold(10).await?;
    hand.settle(nack_in(&held[0], Duration::from_secs(600))).await?;
    hand.settle(reject(&held[1], "no")).await?;
    hand.consumer.settle(held[2..].iter().map(ack).collect());
    put_all(&*backend, (10..15).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let mut rest = hand.work(5).await?;
    rest.sort_unstable();
    ensure_eq!(rest, (10..15).collect::<Vec<_>>(), "what follows");
    Ok(())
}

async fn without_order_attempts_survive_a_crash(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (0..20).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let short = GroupSettings { ack_wait: Some(bench.lease(Duration::from_secs(1))), ..settings()? };
    let mut hand = Hand::group(&member, short.clone(), 4).await?;
    let held: BTreeSet<u64> = hand.hold(4).await?.iter().map(|delivered| number(&delivered.record)).collect();
    bench.crash().await?;
    hand.leave(Leave::Clean);
    let member = bench.member().await?;
    let mut crew = Crew::new([Hand::group(&member, short, 4).await?]);
    for done in crew.exactly(0..20).await? {
        let was_out = held.contains(&done.number);
        ensure_eq!(done.attempt, 1 + u32::from(was_out), "the attempt of number {}", done.number);
    }
    Ok(())
}
