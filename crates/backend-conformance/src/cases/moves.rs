//! Members that come, go, are killed, or are paused and wake up.

use std::{collections::BTreeSet, time::Duration};

use handbell_delivery::{Delivered, GroupSettings, Leave};
use handbell_protocol::frame::Order;

use super::crashes::suits;
use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Crew, Hand, ack, event, group, number, put_all, put_one},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Faults,
        work_of_a_killed_member_comes_again_elsewhere,
        "Lost session and crash raise the attempt; other members take over when the lease has ended."
    ),
    case!(
        Faults,
        a_key_waits_for_what_a_dead_member_held,
        "A key has one unsettled delivery at a time, over all members: what follows waits until what a dead one held is done."
    )
    .schedules(&[16]),
    case!(
        Faults,
        work_stays_with_its_agent_when_its_partition_moves,
        "A planned move doesn't take work away: it stays with its agent, its key stays held, the ack counts once, no attempt is counted."
    )
    .schedules(&[35]),
    case!(
        Faults,
        a_paused_member_that_wakes_up_changes_nothing,
        "A holder whose lease has ended is fenced: nothing that it hands out or settles afterwards counts."
    )
    .schedules(&[36]),
    case!(
        Faults,
        members_that_come_and_go_lose_and_repeat_nothing,
        "A planned move of a partition loses nothing, repeats nothing and counts no attempt."
    ),
];

async fn publish(bench: &Bench, numbers: std::ops::Range<u64>) -> Outcome {
    let drafts = numbers.map(|n| Ok(event("t", n)?.key(&format!("k{}", n % 40)))).collect::<Outcome<_>>()?;
    put_all(&*bench.open().await?, drafts).await.map(drop)
}

fn settings(bench: &Bench, order: Order) -> Outcome<GroupSettings> {
    Ok(GroupSettings {
        order: Some(order),
        ack_wait: Some(bench.lease(Duration::from_secs(2))),
        ..group(&format!("{order:?}"), &["t"])?
    })
}

async fn work_of_a_killed_member_comes_again_elsewhere(bench: Bench) -> Outcome {
    publish(&bench, 0..40).await?;
    for order in [Order::Key, Order::None] {
        let (doomed, plug) = bench.plugged_member(bench.options()).await?;
        let mut lost = Hand::group(&doomed, settings(&bench, order)?, 10).await?;
        let held: BTreeSet<u64> = lost.hold(10).await?.iter().map(|delivered| number(&delivered.record)).collect();
        plug.pull();
        let member = bench.member().await?;
        let mut crew = Crew::new([Hand::group(&member, settings(&bench, order)?, 10).await?]);
        for done in crew.exactly(0..40).await? {
            let was_out = held.contains(&done.number);
            let suits = suits(done.attempt, was_out);
            ensure!(suits, "{order:?}: number {}: attempt {}, was out: {was_out}", done.number, done.attempt);
        }
    }
    Ok(())
}

async fn a_key_waits_for_what_a_dead_member_held(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let (doomed, plug) = bench.plugged_member(bench.options()).await?;
    let mut lost = Hand::group(&doomed, settings(&bench, Order::Key)?, 8).await?;
    put_all(&*backend, (1..=3).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    ensure_eq!(number(&lost.delivery().await?.record), 1, "what is handed out first");
    plug.pull();
    let member = bench.member().await?;
    let mut hand = Hand::group(&member, settings(&bench, Order::Key)?, 8).await?;
    let again = hand.delivery().await?;
    ensure_eq!((number(&again.record), again.attempt), (1, 2), "what the next member gets first");
    hand.nothing("the key is held").await?;
    hand.ack(&again).await?;
    ensure_eq!(hand.work(2).await?, [2, 3], "what follows");
    Ok(())
}

async fn work_stays_with_its_agent_when_its_partition_moves(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let first = bench.member().await?;
    let mut old = Hand::group(&first, settings(&bench, Order::Key)?, 64).await?;
    // One of each key is out, one waits behind it.
    publish(&bench, 0..80).await?;
    let held: Vec<Delivered> = old.hold(40).await?;
    let second = bench.member().await?;
    let new = Hand::group(&second, settings(&bench, Order::Key)?, 64).await?;
    // The second takes its share of the partitions: fresh keys come to it.
    let mut crew = Crew::new([new]);
    let mut n = 1_000;
    while tokio::time::timeout(Duration::from_millis(300), crew.done(1)).await.is_err() {
        ensure!(n < 1_100, "a second member never had anything to do");
        put_all(&*backend, (n..n + 5).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
        n += 5;
    }
    // Meanwhile nothing of what is out was taken away, and its keys are held.
    for delivered in &held {
        old.ack(delivered).await?;
    }
    crew.add(old);
    let mut seen = BTreeSet::new();
    while !(40..80).all(|n| seen.contains(&n)) {
        for done in crew.done(1).await? {
            ensure_eq!(done.attempt, 1, "the attempt of number {} after a move", done.number);
            ensure!(done.number >= 40, "number {} was done twice", done.number);
            ensure!(seen.insert(done.number), "number {} was done twice", done.number);
        }
    }
    Ok(())
}

async fn a_paused_member_that_wakes_up_changes_nothing(bench: Bench) -> Outcome {
    publish(&bench, 0..40).await?;
    let (paused, plug) = bench.plugged_member(bench.options()).await?;
    let mut old = Hand::group(&paused, settings(&bench, Order::Key)?, 4).await?;
    let held = old.hold(4).await?;
    plug.pull();
    let member = bench.member().await?;
    let mut hand = Hand::group(&member, settings(&bench, Order::Key)?, 1).await?;
    // The other has taken over what was out.
    let mut done = BTreeSet::new();
    while !held.iter().all(|delivered| done.contains(&number(&delivered.record))) {
        let delivered = hand.delivery().await?;
        let was_out = held.iter().any(|held| held.record.position == delivered.record.position);
        ensure!(suits(delivered.attempt, was_out), "attempt {}, was out: {was_out}", delivered.attempt);
        hand.ack(&delivered).await?;
        ensure!(done.insert(number(&delivered.record)), "number {} was done twice", number(&delivered.record));
    }
    // It wakes up and settles: it is told that nothing of it counts.
    old.consumer.settle(held.iter().map(ack).collect());
    plug.put_back();
    for delivered in &held {
        old.gone(delivered).await?;
    }
    // Both go on; all is done once.
    let mut crew = Crew::new([hand, old]);
    for more in crew.exactly((0..40).filter(|n| !done.contains(n))).await? {
        ensure!(done.insert(more.number), "number {} was done twice", more.number);
    }
    Ok(())
}

async fn members_that_come_and_go_lose_and_repeat_nothing(bench: Bench) -> Outcome {
    let steady = bench.member().await?;
    let mut crew = Crew::new([Hand::group(&steady, settings(&bench, Order::Key)?, 16).await?]);
    let mut done = vec![];
    for round in 0..5_u64 {
        let guest = bench.member().await?;
        let mut hand = Hand::group(&guest, settings(&bench, Order::Key)?, 16).await?;
        publish(&bench, round * 200..round * 200 + 200).await?;
        // The guest works for a while, then leaves with work in its hands.
        let end = tokio::time::Instant::now() + Duration::from_millis(500);
        while let Ok(delivered) = tokio::time::timeout_at(end, hand.delivery()).await {
            let delivered = delivered?;
            ensure_eq!(delivered.attempt, 1, "the attempt of number {}", number(&delivered.record));
            hand.ack(&delivered).await?;
            done.push(number(&delivered.record));
        }
        hand.leave(Leave::Clean);
        guest.leave().await;
    }
    let left = 1_000 - done.len();
    for more in crew.done(left).await? {
        ensure_eq!(more.attempt, 1, "the attempt of number {}", more.number);
        done.push(more.number);
    }
    let distinct: BTreeSet<_> = done.iter().collect();
    ensure_eq!(distinct.len(), 1_000, "distinct events done, of 1,000");
    put_one(&*bench.open().await?, event("t", 9_999)?).await?;
    match crew.done(1).await?.first() {
        Some(last) if last.number == 9_999 => Ok(()),
        other => Err(Failure::new(format!("handed out after everything was done: {other:?}"))),
    }
}
