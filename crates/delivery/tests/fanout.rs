//! Fan-outs over a whole member.

mod common;

use std::collections::BTreeSet;

use common::{Session, backend, event, fanout, is_quiet, member, outgoing, publish, publish_ids};
use handbell_backend::Class;
use handbell_delivery::JoinError;
use handbell_protocol::{Priority, Topic, frame::From};

fn ids(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("e{n}")).collect()
}

#[tokio::test]
async fn each_fan_out_gets_everything_from_where_it_begins() {
    let backend = backend().await;
    let stored = publish_ids(&backend, "t.a", ids(0..10)).await;
    let member = member(&backend).await;
    let mut from_start = Session::fanout(&member, fanout("t.*", From::Start), 100).await;
    let mut from_new = Session::fanout(&member, fanout("t.a", From::New), 100).await;
    let at = From::Position(stored[4].position.to_string());
    let mut from_position = Session::fanout(&member, fanout("t.a", at), 100).await;
    publish_ids(&backend, "t.a", ids(10..20)).await;
    publish_ids(&backend, "other", ids(20..30)).await;
    let mut all = from_start.work(20).await;
    all.sort_by_key(|id| id[1..].parse::<u32>().unwrap());
    assert_eq!(all, ids(0..20));
    let mut new = from_new.work(10).await;
    new.sort();
    assert_eq!(new, ids(10..20));
    let mut missing: BTreeSet<String> = ids(10..20).into_iter().chain(["e4".to_owned()]).collect();
    while !missing.is_empty() {
        // In other partitions some may come from before it.
        missing.remove(&from_position.work(1).await[0]);
    }
    assert!(is_quiet(&mut from_start).await && is_quiet(&mut from_new).await);
}

#[tokio::test]
async fn level_comes_after_everything_that_was_there() {
    let backend = backend().await;
    publish_ids(&backend, "t", ids(0..50)).await;
    let member = member(&backend).await;
    let mut session = Session::fanout(&member, fanout("t", From::Start), 1_000).await;
    let mut count = 0;
    loop {
        match session.next().await {
            handbell_delivery::ConsumerEvent::Deliver(_) => count += 1,
            handbell_delivery::ConsumerEvent::Level => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(count, 50);
    let mut empty = Session::fanout(&member, fanout("nothing", From::Start), 1_000).await;
    empty.until_level().await;
}

#[tokio::test]
async fn a_filter_passes_over_without_credit() {
    let backend = backend().await;
    let member = member(&backend).await;
    let mut spec = fanout("t", From::New);
    spec.filter = Some("id=e99".into());
    let mut session = Session::fanout(&member, spec, 1).await;
    publish_ids(&backend, "t", ids(0..100)).await;
    assert_eq!(session.work(1).await, ["e99"]);
    assert_eq!(member.counts().filtered, 99);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_and_a_position_that_is_none_are_refused() {
    let backend = backend().await;
    let member = member(&backend).await;
    let mut spec = fanout("t", From::New);
    spec.filter = Some("event.type ==".into());
    let refused = member.fanout(spec, Session::KEY, Default::default(), 1).await;
    assert!(matches!(refused, Err(JoinError::BadFilter(_))), "{refused:?}");
    let spec = fanout("t", From::Position("here".into()));
    let refused = member.fanout(spec, Session::KEY, Default::default(), 1).await;
    assert!(matches!(refused, Err(JoinError::BadPosition(_))), "{refused:?}");
}

#[tokio::test]
async fn the_events_of_a_key_come_one_at_a_time_in_order() {
    let backend = backend().await;
    let member = member(&backend).await;
    let mut session = Session::fanout(&member, fanout("t", From::New), 100).await;
    let topic = Topic::parse("t").unwrap();
    let batch = (0..20).map(|n| {
        let mut envelope = event(&topic, &format!("e{n}"));
        envelope.routing.partition_key = Some("k".into());
        envelope.routing.priority = Priority::Normal;
        outgoing(Class::Ev, envelope)
    });
    publish(&backend, batch.collect()).await;
    assert_eq!(session.work(20).await, ids(0..20));
}

#[tokio::test]
async fn a_consumer_that_leaves_ends_its_fan_out() {
    let backend = backend().await;
    let member = member(&backend).await;
    let mut session = Session::fanout(&member, fanout("t", From::New), 100).await;
    session.take_consumer().leave(handbell_delivery::Leave::Clean);
    publish_ids(&backend, "t", ids(0..10)).await;
    let settled: Vec<_> = session.mailbox.try_take();
    assert!(settled.iter().all(|(_, event)| matches!(event, handbell_delivery::ConsumerEvent::Level)));
}
