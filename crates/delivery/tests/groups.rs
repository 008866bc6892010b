//! Durable groups: their settings, and how members share their work.

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{Session, backend, event, is_quiet, member, outgoing, publish, publish_ids, segment, settings};
use handbell_backend::Class;
use handbell_delivery::{GroupSettings, JoinError, Leave};
use handbell_protocol::{
    Topic,
    frame::{From, Order, RetryPolicy},
};

fn ids(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("e{n}")).collect()
}

fn set(ids: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    ids.into_iter().collect()
}

const ORDERS: [Order; 2] = [Order::Key, Order::None];

#[tokio::test]
async fn the_first_to_join_makes_the_settings_and_others_must_ask_for_the_same() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let made = GroupSettings { filter: Some("type=Thing".into()), ..settings("g", "t", Order::Key) };
    let _first = Session::group(&a, made.clone(), 1).await;
    let asked = [
        ("topics", GroupSettings { topics: settings("g", "u", Order::Key).topics, ..made.clone() }),
        ("filter", GroupSettings { filter: Some("type=Other".into()), ..made.clone() }),
        ("order", GroupSettings { order: Some(Order::None), ..made.clone() }),
        ("ack_wait", GroupSettings { ack_wait: Some(Duration::from_secs(1)), ..made.clone() }),
        ("retry", GroupSettings { retry: Some(RetryPolicy { max_retries: 9, ..Default::default() }), ..made.clone() }),
    ];
    for (field, asked) in asked {
        let refused = b.group(asked, Session::KEY, Default::default(), 1, false).await;
        assert!(matches!(&refused, Err(JoinError::Mismatch { field: named, .. }) if *named == field), "{refused:?}");
    }
    let left_out = GroupSettings { filter: None, order: None, from: From::Start, ..made };
    let _second = Session::group(&b, left_out, 1).await;
}

#[tokio::test]
async fn of_two_that_make_a_group_at_once_with_differing_filters_one_is_told() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let asked = |filter: &str| GroupSettings { filter: Some(filter.into()), ..settings("g", "t", Order::Key) };
    let join = |member: &handbell_delivery::Member, filter: &str| {
        let (member, asked) = (member.clone(), asked(filter));
        async move { member.group(asked, Session::KEY, Default::default(), 1, false).await }
    };
    let (first, second) = tokio::join!(join(&a, "type=A"), join(&b, "type=B"));
    let mismatch = |result: &Result<_, JoinError>| matches!(result, Err(JoinError::Mismatch { field: "filter", .. }));
    assert!(first.is_ok() && mismatch(&second) || second.is_ok() && mismatch(&first), "{first:?} {second:?}");
}

#[tokio::test]
async fn everything_published_after_joining_is_delivered_once() {
    for order in ORDERS {
        let backend = backend().await;
        publish_ids(&backend, "t", ids(100..110)).await;
        let member = member(&backend).await;
        let mut session = Session::group(&member, settings("g", "t", order), 10).await;
        publish_ids(&backend, "t", ids(0..100)).await;
        assert_eq!(set(session.work(100).await), set(ids(0..100)), "{order:?}");
        assert!(is_quiet(&mut session).await);
    }
}

#[tokio::test]
async fn a_group_goes_on_where_it_was() {
    for order in ORDERS {
        let backend = backend().await;
        let first = member(&backend).await;
        let mut session = Session::group(&first, settings("g", "t", order), 10).await;
        publish_ids(&backend, "t", ids(0..10)).await;
        session.work(10).await;
        session.take_consumer().leave(Leave::Clean);
        first.leave().await;
        publish_ids(&backend, "t", ids(10..20)).await;
        let second = member(&backend).await;
        let mut session = Session::group(&second, settings("g", "t", order), 10).await;
        assert_eq!(set(session.work(10).await), set(ids(10..20)), "{order:?}");
    }
}

#[tokio::test]
async fn while_an_agent_is_away_the_others_get_what_is_new_and_it_keeps_what_it_has() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut at_a = Session::group(&a, settings("g", "t", Order::Key), 100).await;
    publish_ids(&backend, "t", ids(0..8)).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(at_a.delivery().await);
    }
    at_a.consumer().disconnected();
    let mut at_b = Session::group(&b, settings("g", "t", Order::Key), 100).await;
    publish_ids(&backend, "t", ids(8..200)).await;
    assert_eq!(set(at_b.work(192).await), set(ids(8..200)));
    at_a.consumer().connected();
    for one in held {
        at_a.settle(one.token, handbell_delivery::Verdict::Ack).await;
    }
    assert!(is_quiet(&mut at_b).await, "what it had kept was handed out again");
}

#[tokio::test]
async fn two_members_share_the_work() {
    for order in ORDERS {
        let backend = backend().await;
        let (a, b) = (member(&backend).await, member(&backend).await);
        let mut at_a = Session::group(&a, settings("g", "t", order), 10).await;
        let mut at_b = Session::group(&b, settings("g", "t", order), 10).await;
        publish_ids(&backend, "t", ids(0..400)).await;
        let (mut done, mut shares) = (BTreeSet::new(), [0, 0]);
        while done.len() < 400 {
            let (share, id) = tokio::select! {
                delivered = at_a.delivery() => (0, delivered),
                delivered = at_b.delivery() => (1, delivered),
            };
            let session = [&at_a, &at_b][share];
            session.consumer().settle(vec![(id.token, handbell_delivery::Verdict::Ack)]);
            shares[share] += 1;
            assert!(done.insert(id.record.envelope.event.id.clone()), "twice: {:?}", id.record.envelope.event.id);
        }
        assert!(shares.iter().all(|share| *share > 0), "{order:?}: {shares:?}");
    }
}

#[tokio::test]
async fn what_a_leaving_member_has_not_done_the_other_does_uncounted() {
    for order in ORDERS {
        let backend = backend().await;
        let (a, b) = (member(&backend).await, member(&backend).await);
        let mut at_a = Session::group(&a, settings("g", "t", order), 10).await;
        publish_ids(&backend, "t", ids(0..30)).await;
        at_a.delivery().await;
        at_a.take_consumer().leave(Leave::Clean);
        let mut at_b = Session::group(&b, settings("g", "t", order), 10).await;
        let mut done = BTreeSet::new();
        while done.len() < 30 {
            let delivered = at_b.delivery().await;
            assert_eq!(delivered.attempt, 1, "{order:?}");
            done.insert(delivered.record.envelope.event.id.clone());
            at_b.consumer().settle(vec![(delivered.token, handbell_delivery::Verdict::Ack)]);
        }
    }
}

#[tokio::test]
async fn what_a_crashed_member_had_out_the_other_does_after_the_lease() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut at_a = Session::group(&a, settings("g", "t", Order::Key), 3).await;
    publish_ids(&backend, "t", ids(0..30)).await;
    let out = at_a.delivery().await.record.envelope.event.id.clone();
    let _lost_without_a_word = std::mem::ManuallyDrop::new(at_a);
    drop(a);
    let mut at_b = Session::group(&b, settings("g", "t", Order::Key), 10).await;
    let mut attempts = std::collections::BTreeMap::new();
    while attempts.len() < 30 {
        let delivered = at_b.delivery().await;
        attempts.insert(delivered.record.envelope.event.id.clone(), delivered.attempt);
        at_b.consumer().settle(vec![(delivered.token, handbell_delivery::Verdict::Ack)]);
    }
    assert_eq!(attempts[&out], 2);
}

#[tokio::test]
async fn a_key_keeps_its_order_and_is_out_once_over_all_members() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut at_a = Session::group(&a, settings("g", "t", Order::Key), 10).await;
    let mut at_b = Session::group(&b, settings("g", "t", Order::Key), 10).await;
    let topic = Topic::parse("t").unwrap();
    let batch = (0..60).map(|n| {
        let mut envelope = event(&topic, &format!("e{n}"));
        envelope.routing.partition_key = Some(format!("k{}", n % 3));
        outgoing(Class::Ev, envelope)
    });
    publish(&backend, batch.collect()).await;
    let mut seen = [vec![], vec![], vec![]];
    for _ in 0..60 {
        let (at_first, delivered) = tokio::select! {
            delivered = at_a.delivery() => (true, delivered),
            delivered = at_b.delivery() => (false, delivered),
        };
        let n: usize = delivered.record.envelope.event.id[1..].parse().unwrap();
        seen[n % 3].push(n);
        let session = if at_first { &at_a } else { &at_b };
        session.consumer().settle(vec![(delivered.token, handbell_delivery::Verdict::Ack)]);
    }
    for (key, seen) in seen.iter().enumerate() {
        assert_eq!(*seen, (0..20).map(|i| i * 3 + key).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn level_comes_when_what_was_there_has_been_handed_out() {
    for order in ORDERS {
        let backend = backend().await;
        publish_ids(&backend, "t", ids(0..20)).await;
        let member = member(&backend).await;
        let made = GroupSettings { from: From::Start, ..settings("g", "t", order) };
        let mut session = Session::group(&member, made, 100).await;
        let mut count = 0;
        loop {
            match session.next().await {
                handbell_delivery::ConsumerEvent::Deliver(_) => count += 1,
                handbell_delivery::ConsumerEvent::Level => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(count, 20, "{order:?}");
    }
}

#[tokio::test]
async fn what_was_given_back_comes_before_the_level_of_whoever_joins_next() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut session = Session::group(&a, settings("g", "t", Order::Key), 100).await;
    publish_ids(&backend, "t", ids(0..40)).await;
    for turn in 0..6 {
        for _ in 0..40 {
            session.delivery().await;
        }
        session.take_consumer().leave(Leave::Clean);
        session = Session::group([&a, &b][turn % 2], settings("g", "t", Order::Key), 100).await;
        let mut count = 0;
        while let handbell_delivery::ConsumerEvent::Deliver(_) = session.next().await {
            count += 1;
        }
        assert_eq!(count, 40, "before level, in turn {turn}");
        session.take_consumer().leave(Leave::Clean);
        session = Session::group([&b, &a][turn % 2], settings("g", "t", Order::Key), 100).await;
    }
}

#[tokio::test]
async fn operators_see_groups_with_members_lag_and_unsettled() {
    let backend = backend().await;
    let member = member(&backend).await;
    let mut session = Session::group(&member, settings("g", "t", Order::Key), 10).await;
    publish_ids(&backend, "t", ids(0..10)).await;
    session.work(10).await;
    let group = member.groups().await.unwrap().remove(0);
    assert_eq!((&group.group, group.order, group.lag), (&segment("g"), Order::Key, Some(0)));
    assert_eq!(group.members, [member.id().clone()]);
}

fn keyed(n: u32, key: u32) -> handbell_backend::Outgoing {
    let mut envelope = event(&Topic::parse("t").expect("t is a topic"), &format!("e{n}"));
    envelope.routing.partition_key = Some(format!("k{key}"));
    outgoing(Class::Ev, envelope)
}

#[tokio::test]
async fn work_that_is_out_when_its_partition_moves_stays_with_its_consumer_and_counts_once() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut at_a = Session::group(&a, settings("g", "t", Order::Key), 100).await;
    publish(&backend, (0..20).map(|n| keyed(n, n)).collect()).await;
    let mut out = Vec::new();
    for _ in 0..20 {
        out.push(at_a.delivery().await);
    }
    let mut at_b = Session::group(&b, settings("g", "t", Order::Key), 100).await;
    publish(&backend, (20..40).map(|n| keyed(n, n - 20)).collect()).await;
    assert!(is_quiet(&mut at_b).await, "every key has a delivery out at a");
    for delivered in out {
        at_a.settle(delivered.token, handbell_delivery::Verdict::Ack).await;
    }
    let (mut done, mut shares) = (BTreeSet::new(), [0, 0]);
    while done.len() < 20 {
        let (share, delivered) = tokio::select! {
            delivered = at_a.delivery() => (0, delivered),
            delivered = at_b.delivery() => (1, delivered),
        };
        assert_eq!(delivered.attempt, 1);
        shares[share] += 1;
        [&at_a, &at_b][share].consumer().settle(vec![(delivered.token, handbell_delivery::Verdict::Ack)]);
        assert!(done.insert(delivered.record.envelope.event.id.clone()));
    }
    assert_eq!(done, set(ids(20..40)));
    assert!(shares[1] > 0, "some partitions have moved");
}

#[tokio::test]
async fn a_drained_member_gives_its_partitions_to_the_others_and_may_still_settle() {
    for order in ORDERS {
        let backend = backend().await;
        let (a, b) = (member(&backend).await, member(&backend).await);
        let mut at_a = Session::group(&a, settings("g", "t", order), 1).await;
        publish_ids(&backend, "t", ids(0..30)).await;
        let out = at_a.delivery().await;
        a.drain().await;
        let mut at_b = Session::group(&b, settings("g", "t", order), 100).await;
        let mut done = BTreeSet::from([out.record.envelope.event.id.clone()]);
        while done.len() < 30 {
            let delivered = at_b.delivery().await;
            assert_eq!(delivered.attempt, 1, "{order:?}");
            at_b.consumer().settle(vec![(delivered.token, handbell_delivery::Verdict::Ack)]);
            assert!(done.insert(delivered.record.envelope.event.id.clone()));
        }
        at_a.settle(out.token, handbell_delivery::Verdict::Ack).await;
        a.leave().await;
        assert!(is_quiet(&mut at_b).await);
    }
}

#[tokio::test]
async fn what_a_leaving_member_still_has_out_is_counted() {
    for order in ORDERS {
        let backend = backend().await;
        let (a, b) = (member(&backend).await, member(&backend).await);
        let mut at_a = Session::group(&a, settings("g", "t", order), 1).await;
        publish_ids(&backend, "t", ids(0..1)).await;
        at_a.delivery().await;
        a.leave().await;
        let mut at_b = Session::group(&b, settings("g", "t", order), 1).await;
        assert_eq!(at_b.delivery().await.attempt, 2, "{order:?}");
    }
}
