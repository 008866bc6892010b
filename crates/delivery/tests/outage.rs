//! While the backend is out of reach nothing is lost, nothing is told as done,
//! and nobody asks it without pause.

mod common;
#[path = "common/outage.rs"]
mod outage;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use common::{Session, agent, backend, direct, fanout, is_quiet, member, publish_ids, send, settings};
use handbell_backend::Backend;
use handbell_delivery::{Verdict, inbox};
use handbell_protocol::frame::{From, Order};
use outage::{Outage, Switch};

async fn unsteady() -> (Arc<dyn Backend>, Arc<dyn Backend>, Switch) {
    let (inner, switch) = (backend().await, Switch::default());
    let outage = Outage { inner: Arc::clone(&inner), switch: switch.clone() };
    (inner, Arc::new(outage), switch)
}

fn ids(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("e{n}")).collect()
}

/// Takes so many, each once, and acks them.
async fn work(session: &mut Session, count: usize) -> BTreeSet<String> {
    let mut done = BTreeSet::new();
    while done.len() < count {
        let delivered = session.delivery().await;
        let id = delivered.record.envelope.event.id.clone();
        assert!(done.insert(id), "twice: {:?}", delivered.record.envelope.event);
        session.consumer().settle(vec![(delivered.token, Verdict::Ack)]);
    }
    done
}

#[tokio::test]
async fn groups_and_inboxes_go_on_after_an_outage_and_settle_nothing_during_it() {
    let (inner, backend, switch) = unsteady().await;
    let member = member(&backend).await;
    let mut sessions = [
        Session::group(&member, settings("key", "t", Order::Key), 10).await,
        Session::group(&member, settings("none", "t", Order::None), 10).await,
        Session::direct(&member, direct("/a", "1"), 10).await,
    ];
    publish_ids(&inner, "t", ids(0..30)).await;
    for n in 0..30 {
        send(&inner, &inbox::agent_topic(&agent("/a")), &format!("e{n}")).await;
    }
    for session in &mut sessions {
        let first = session.delivery().await;
        switch.set(true);
        session.consumer().settle(vec![(first.token, Verdict::Ack)]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!session.has_settled(first.token));
        switch.set(false);
    }
    publish_ids(&inner, "t", ids(30..60)).await;
    for n in 30..60 {
        send(&inner, &inbox::agent_topic(&agent("/a")), &format!("e{n}")).await;
    }
    for session in &mut sessions {
        assert_eq!(work(session, 59).await.len(), 59, "all but the first, which is acked");
    }
}

#[tokio::test]
async fn a_fan_out_misses_nothing_and_repeats_nothing_in_an_outage() {
    let (inner, backend, switch) = unsteady().await;
    let member = member(&backend).await;
    let mut session = Session::fanout(&member, fanout("t", From::New), 10).await;
    publish_ids(&inner, "t", ids(100..120)).await;
    work(&mut session, 20).await;
    switch.set(true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    publish_ids(&inner, "t", ids(0..50)).await;
    switch.set(false);
    assert_eq!(work(&mut session, 50).await, ids(0..50).into_iter().collect());
    assert!(is_quiet(&mut session).await);
}

#[tokio::test]
async fn an_outage_is_waited_for_and_not_hammered_at() {
    let (_, backend, switch) = unsteady().await;
    let member = member(&backend).await;
    let _group = Session::group(&member, settings("key", "t", Order::Key), 10).await;
    let _queue = Session::group(&member, settings("none", "t", Order::None), 10).await;
    let _fanout = Session::fanout(&member, fanout("t", From::New), 10).await;
    let _direct = Session::direct(&member, direct("/a", "1"), 10).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    switch.set(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = switch.refused();
    assert!(refused > 0 && refused < 500, "{refused} calls in two seconds");
}
