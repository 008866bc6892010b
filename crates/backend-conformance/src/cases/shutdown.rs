//! The planned end, with work in flight.

use std::{collections::BTreeSet, time::Duration};

use handbell_delivery::{GroupSettings, Verdict};
use handbell_protocol::frame::Order;

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Crew, Hand, event, group, number, put_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Faults,
        a_draining_member_hands_out_nothing_and_others_take_over_at_once,
        "Drain: no more deliveries; what was not yet handed out is given back at once, uncounted; acks go on."
    ),
    case!(
        Faults,
        what_is_out_when_a_member_leaves_is_given_back_counted,
        "When the grace is over the rest is given back, counted unless it was released."
    ),
    case!(
        Faults,
        the_end_of_the_process_with_work_in_flight_loses_nothing,
        "SIGTERM: nothing is lost, and what was not started counts no attempt after the restart."
    )
    .needs(&[Need::Reopen]),
];

const ORDERS: [Order; 2] = [Order::Key, Order::None];

fn settings(order: Order) -> Outcome<GroupSettings> {
    Ok(GroupSettings { order: Some(order), ..group(&format!("{order:?}"), &["t"])? })
}

async fn publish(bench: &Bench, numbers: std::ops::Range<u64>) -> Outcome {
    let drafts = numbers.map(|n| event("t", n)).collect::<Outcome<_>>()?;
    put_all(&*bench.open().await?, drafts).await.map(drop)
}

async fn a_draining_member_hands_out_nothing_and_others_take_over_at_once(bench: Bench) -> Outcome {
    publish(&bench, 0..60).await?;
    for order in ORDERS {
        let member = bench.member().await?;
        let mut hand = Hand::group(&member, settings(order)?, 10).await?;
        let held = hand.hold(10).await?;
        let out: BTreeSet<u64> = held.iter().map(|delivered| number(&delivered.record)).collect();
        member.drain().await;
        let other = bench.member().await?;
        let mut crew = Crew::new([Hand::group(&other, settings(order)?, 10).await?]);
        // What was read ahead there comes here, though nobody has left.
        for done in crew.exactly((0..60).filter(|n| !out.contains(n))).await? {
            ensure_eq!(done.attempt, 1, "{order:?}: the attempt of number {}", done.number);
        }
        // What is out may still be settled, or given back unstarted.
        let (worked, unstarted) = held.split_at(7);
        for delivered in worked {
            hand.ack(delivered).await?;
        }
        for delivered in unstarted {
            hand.settle((delivered.token, Verdict::Release)).await?;
        }
        hand.nothing("the member drains").await?;
        let back: Vec<u64> = unstarted.iter().map(|delivered| number(&delivered.record)).collect();
        for done in crew.exactly(back).await? {
            ensure_eq!(done.attempt, 1, "{order:?}: the attempt of number {}, which was released", done.number);
        }
        member.leave().await;
        crew.idle().await?;
    }
    Ok(())
}

async fn what_is_out_when_a_member_leaves_is_given_back_counted(bench: Bench) -> Outcome {
    publish(&bench, 0..20).await?;
    for order in ORDERS {
        let member = bench.member().await?;
        let mut hand = Hand::group(&member, settings(order)?, 5).await?;
        let held: BTreeSet<u64> = hand.hold(5).await?.iter().map(|delivered| number(&delivered.record)).collect();
        member.drain().await;
        member.leave().await;
        let other = bench.member().await?;
        let mut crew = Crew::new([Hand::group(&other, settings(order)?, 5).await?]);
        for done in crew.exactly(0..20).await? {
            let was_out = held.contains(&done.number);
            ensure_eq!(done.attempt, 1 + u32::from(was_out), "{order:?}: the attempt of number {}", done.number);
        }
        drop(hand);
    }
    Ok(())
}

async fn the_end_of_the_process_with_work_in_flight_loses_nothing(bench: Bench) -> Outcome {
    publish(&bench, 0..100).await?;
    let mut done = [BTreeSet::new(), BTreeSet::new()];
    for round in 0..3 {
        for (order, done) in ORDERS.into_iter().zip(&mut done) {
            let member = bench.member().await?;
            let mut hand = Hand::group(&member, settings(order)?, 10).await?;
            for n in hand.work(20).await? {
                ensure!(done.insert(n), "{order:?}: number {n} came again after its ack, round {round}");
            }
            member.drain().await;
            // What is out is given back unstarted, as a sidecar does with what is not on a socket.
            for delivered in hand.handed_out().await {
                ensure_eq!(delivered.attempt, 1, "{order:?}: the attempt of number {}", number(&delivered.record));
                hand.settle((delivered.token, Verdict::Release)).await?;
            }
            tokio::time::timeout(Duration::from_secs(30), member.leave()).await?;
        }
        bench.reopen().await?;
    }
    for (order, done) in ORDERS.into_iter().zip(done) {
        let member = bench.member().await?;
        let mut crew = Crew::new([Hand::group(&member, settings(order)?, 10).await?]);
        for last in crew.exactly((0..100).filter(|n| !done.contains(n))).await? {
            ensure_eq!(last.attempt, 1, "{order:?}: the attempt of number {}", last.number);
        }
    }
    Ok(())
}
