//! Credit, priorities and kinds.

use std::{collections::VecDeque, time::Duration};

use handbell_backend::header;
use handbell_delivery::{ConsumerEvent, GroupSettings};
use handbell_protocol::{Kind, Priority, frame::Order};

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Hand, event, eventually, group, nack, number, put_all, put_one, within},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Groups,
        no_more_is_unsettled_than_the_credit,
        "Credit is a ceiling on unsettled deliveries: settling frees it, no more is handed to an agent."
    ),
    case!(
        Groups,
        a_higher_priority_overtakes_what_waits,
        "A higher priority overtakes waiting lower ones; order holds per topic, partition key and lane."
    ),
    case!(
        Groups,
        a_group_is_told_once_that_it_is_level,
        "Everything that was there at the beginning has been handed out; only for those that asked, once."
    ),
    case!(Redelivery, a_notification_that_fails_is_dropped_and_counted, "Notification: no retry, no dead letter."),
    case!(
        Redelivery,
        what_has_expired_is_never_handed_out,
        "Commands carry their deadline; expired ones are dropped and counted."
    )
    .schedules(&[26]),
];

async fn no_more_is_unsettled_than_the_credit(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (0..50).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    for order in [Order::Key, Order::None] {
        let settings = GroupSettings { order: Some(order), ..group(&format!("{order:?}"), &["t"])? };
        let mut hand = Hand::group(&member, settings, 0).await?;
        hand.nothing("the credit is 0").await?;
        hand.consumer.credit(3);
        let mut held = hand.hold(3).await?;
        hand.nothing("the credit is 3").await?;
        for delivered in held.drain(..2) {
            hand.ack(&delivered).await?;
        }
        held.extend(hand.hold(2).await?);
        hand.nothing("the credit is 3").await?;
        hand.consumer.credit(5);
        held.extend(hand.hold(2).await?);
        hand.nothing("the credit is 5").await?;
        // A lower one takes nothing back.
        hand.consumer.credit(1);
        for delivered in held.drain(..4) {
            hand.ack(&delivered).await?;
        }
        hand.nothing("one is still out, and the credit is 1").await?;
    }
    Ok(())
}

async fn a_higher_priority_overtakes_what_waits(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    for (credit, topic) in [(1, "few"), (40, "many")] {
        let mut hand = Hand::group(&member, group(topic, &[topic])?, credit).await?;
        put_all(&*backend, (100..140).map(|n| event(topic, n)).collect::<Outcome<_>>()?).await?;
        let mut held: VecDeque<_> = hand.hold(credit as usize).await?.into();
        let priorities = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
        let drafts = (0..40).map(|n| Ok(event(topic, n)?.priority(priorities[n as usize % 4])));
        put_all(&*backend, drafts.collect::<Outcome<_>>()?).await?;
        // What has been read ahead is in order of priority; give it time to be read.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut order = vec![];
        while let Some(first) = held.pop_front()
            && order.len() < 40
        {
            hand.ack(&first).await?;
            let next = hand.delivery().await?;
            if number(&next.record) < 40 {
                order.push(priorities[number(&next.record) as usize % 4]);
            }
            held.push_back(next);
        }
        let express = order.iter().position(|p| *p < Priority::High).unwrap_or(order.len());
        ensure_eq!(express, 20, "with credit {credit}, express ones before the first regular one: {order:?}");
    }
    Ok(())
}

async fn a_group_is_told_once_that_it_is_level(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_all(&*backend, (0..50).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let mut hand = Hand::group(&member, group("g", &["t"])?, 8).await?;
    let mut before = 0;
    loop {
        match within("deliveries, then level", hand.event()).await? {
            ConsumerEvent::Deliver(delivered) => {
                before += 1;
                hand.ack(&delivered).await?;
            }
            ConsumerEvent::Level => break,
            _ => {}
        }
    }
    ensure_eq!(before, 50, "deliveries before the group was level");
    put_one(&*backend, event("t", 50)?).await?;
    hand.work(1).await?;
    hand.nothing("everything is done").await?;
    let again = hand.told().await.iter().any(|event| matches!(event, ConsumerEvent::Level));
    ensure!(!again, "the group was level twice");
    Ok(())
}

async fn a_notification_that_fails_is_dropped_and_counted(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    for order in [Order::Key, Order::None] {
        let topic = format!("t.{order:?}");
        let settings = GroupSettings { order: Some(order), ..group(&format!("{order:?}"), &[&topic])? };
        let mut hand = Hand::group(&member, settings, 8).await?;
        put_one(&*backend, event(&topic, 1)?.key("k").kind(Kind::Notification)).await?;
        put_one(&*backend, event(&topic, 2)?.key("k").of_type("HealthNotification")).await?;
        for n in [1, 2] {
            let delivered = hand.delivery().await?;
            ensure_eq!(number(&delivered.record), n, "the notification");
            hand.settle(nack(&delivered)).await?;
        }
        hand.nothing("notifications aren't tried again").await?;
    }
    super::dead_letters::none(&*backend).await
}

async fn what_has_expired_is_never_handed_out(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let drafts = vec![
        event("t", 1)?.key("k").header(header::EXPIRY, "2020-01-01T00:00:00Z"),
        event("t", 2)?.key("k").header(header::EXPIRY, "2999-01-01T00:00:00Z"),
        event("t", 3)?.key("k").header(header::EXPIRY, "2020-01-01T00:00:00Z"),
        event("t", 4)?.key("k"),
    ];
    put_all(&*backend, drafts).await?;
    for order in [Order::Key, Order::None] {
        let settings = GroupSettings { order: Some(order), ..group(&format!("{order:?}"), &["t"])? };
        let mut hand = Hand::group(&member, settings, 8).await?;
        let mut done = hand.work(2).await?;
        done.sort_unstable();
        ensure_eq!(done, [2, 4], "what has not expired");
        hand.nothing("it has expired").await?;
    }
    eventually("expired ones are settled", || async {
        Ok(member.groups().await?.iter().all(|info| info.lag.is_none_or(|lag| lag == 0)))
    })
    .await?;
    super::dead_letters::none(&*backend).await
}
