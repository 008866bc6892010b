//! How long a delivery is a consumer's.

use std::time::Duration;

use handbell_delivery::{GroupSettings, Leave, MemberOptions, Verdict};
use handbell_protocol::frame::Order;

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Hand, ack, event, group, number, put_all, put_one, reject},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Redelivery,
        what_takes_too_long_comes_again_and_a_late_ack_is_gone,
        "Until max_processing after delivery, then the event is delivered again; settling an expired one is gone, no effect."
    )
    .schedules(&[25]),
    case!(
        Redelivery,
        a_lost_connection_ends_the_lease_ack_wait_later,
        "While the socket lives the lease is renewed; when it is lost it runs out ack_wait later, and the attempt counts."
    ),
    case!(
        Redelivery,
        a_connection_that_comes_back_in_time_keeps_its_work,
        "Within the lease a session that comes back has its deliveries still, with the same attempt."
    ),
    case!(
        Redelivery,
        extend_keeps_a_delivery_beyond_its_lease,
        "extend.for sets the end to now + for, beyond either."
    ),
    case!(
        Redelivery,
        a_lost_consumer_counts_and_one_that_leaves_does_not,
        "Attempt is raised by a lost session, not by unsubscribe or bye."
    ),
    case!(
        Redelivery,
        a_second_verdict_is_gone,
        "Settling an unknown, settled or another session's delivery: gone, no effect."
    ),
];

const ORDERS: [Order; 2] = [Order::Key, Order::None];

fn settings(bench: &Bench, order: Order) -> Outcome<GroupSettings> {
    Ok(GroupSettings {
        order: Some(order),
        ack_wait: Some(bench.lease(Duration::from_secs(1))),
        ..group(&format!("{order:?}"), &["t"])?
    })
}

/// A member whose deliveries end soon.
fn hurried(bench: &Bench, max_processing: Duration) -> MemberOptions {
    MemberOptions { max_processing: bench.lease(max_processing), ..bench.options() }
}

async fn what_takes_too_long_comes_again_and_a_late_ack_is_gone(bench: Bench) -> Outcome {
    let member = bench.member_with(hurried(&bench, Duration::from_secs(1))).await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in ORDERS {
        let mut hand = Hand::group(&member, settings(&bench, order)?, 1).await?;
        let slow = hand.delivery().await?;
        hand.revoked(&slow).await?;
        let again = hand.delivery().await?;
        ensure_eq!((number(&again.record), again.attempt), (1, 2), "{order:?}: what comes again");
        ensure_eq!(again.idempotency_key, slow.idempotency_key, "one effect: the same idempotency key");
        hand.settle_in_vain(ack(&slow)).await?;
        hand.ack(&again).await?;
        hand.nothing("it is acked").await?;
    }
    Ok(())
}

async fn a_lost_connection_ends_the_lease_ack_wait_later(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in ORDERS {
        let mut lost = Hand::group(&member, settings(&bench, order)?, 1).await?;
        let held = lost.delivery().await?;
        let mut other = Hand::group(&member, settings(&bench, order)?, 1).await?;
        other.nothing("it is out, and its consumer connected").await?;
        lost.consumer.disconnected();
        let again = other.delivery().await?;
        ensure_eq!((number(&again.record), again.attempt), (1, 2), "{order:?}: what comes again");
        lost.settle_in_vain(ack(&held)).await?;
        other.ack(&again).await?;
    }
    Ok(())
}

async fn a_connection_that_comes_back_in_time_keeps_its_work(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in ORDERS {
        let long = GroupSettings { ack_wait: Some(Duration::from_secs(20)), ..settings(&bench, order)? };
        let mut hand = Hand::group(&member, long, 2).await?;
        let held = hand.delivery().await?;
        hand.consumer.disconnected();
        tokio::time::sleep(Duration::from_millis(300)).await;
        hand.consumer.connected();
        hand.nothing("its lease has not ended").await?;
        hand.ack(&held).await?;
    }
    Ok(())
}

async fn extend_keeps_a_delivery_beyond_its_lease(bench: Bench) -> Outcome {
    let member = bench.member_with(hurried(&bench, Duration::from_secs(2))).await?;
    let backend = bench.open().await?;
    put_all(&*backend, vec![event("t", 1)?.key("a"), event("t", 2)?.key("b")]).await?;
    for order in ORDERS {
        let mut hand = Hand::group(&member, settings(&bench, order)?, 2).await?;
        let held = hand.hold(2).await?;
        hand.consumer.extend(held[0].token, Duration::from_secs(600));
        // The other's lease ends: as long has the first lived too.
        hand.revoked(&held[1]).await?;
        let again = hand.delivery().await?;
        ensure_eq!(number(&again.record), number(&held[1].record), "{order:?}: what comes again");
        hand.nothing("it was extended").await?;
        hand.consumer.disconnected();
        tokio::time::sleep(bench.lease(Duration::from_millis(1_300))).await;
        hand.consumer.connected();
        hand.ack(&held[0]).await?;
        hand.leave(Leave::Clean);
    }
    Ok(())
}

async fn a_lost_consumer_counts_and_one_that_leaves_does_not(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?.key("k")).await?;
    for order in ORDERS {
        // No lease ends here: nothing else may raise the attempt.
        let settings = GroupSettings { ack_wait: None, ..settings(&bench, order)? };
        for (attempt, how) in [(1, Leave::Clean), (1, Leave::Lost), (2, Leave::Clean), (2, Leave::Lost)] {
            let mut hand = Hand::group(&member, settings.clone(), 1).await?;
            ensure_eq!(hand.delivery().await?.attempt, attempt, "{order:?}: the attempt before {how:?}");
            hand.leave(how);
        }
        let mut hand = Hand::group(&member, settings.clone(), 1).await?;
        ensure_eq!(hand.delivery().await?.attempt, 3, "{order:?}: the attempt after two were lost");
        // Dropped without a word: lost.
        drop(hand);
        let mut hand = Hand::group(&member, settings.clone(), 1).await?;
        let last = hand.delivery().await?;
        ensure_eq!(last.attempt, 4, "{order:?}: the attempt after three were lost");
        hand.ack(&last).await?;
    }
    Ok(())
}

async fn a_second_verdict_is_gone(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (0..2).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    for order in ORDERS {
        let mut hand = Hand::group(&member, settings(&bench, order)?, 2).await?;
        let mut stranger = Hand::group(&member, settings(&bench, order)?, 0).await?;
        let held = hand.hold(2).await?;
        hand.ack(&held[0]).await?;
        hand.settle_in_vain(ack(&held[0])).await?;
        hand.settle_in_vain(reject(&held[0], "too late")).await?;
        hand.settle_in_vain((held[0].token, Verdict::Release)).await?;
        stranger.settle_in_vain(ack(&held[1])).await?;
        hand.ack(&held[1]).await?;
    }
    super::dead_letters::none(&*backend).await
}
