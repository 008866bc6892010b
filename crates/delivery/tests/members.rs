//! Members of a namespace: who is there, who isn't any more, and what they
//! tell one another.

mod common;

use common::{agent, backend, member, segment, until};
use handbell_delivery::{Presence, Signal};

fn presence(name: &str) -> Presence {
    Presence { agent: agent(name), pools: vec![segment("builders")], capabilities: vec![segment("rust")], sessions: 1 }
}

#[tokio::test]
async fn what_one_member_announces_the_others_see() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    assert!(!b.view().agent_present(&agent("/x")));
    a.announce(vec![presence("/x").into()]);
    assert!(a.view().agent_present(&agent("/x")), "oneself sees it at once");
    until("b sees the agent", || b.view().agent_present(&agent("/x"))).await;
    assert!(b.view().pool_present(&segment("builders")) && b.view().capability_present(&segment("rust")));
    assert!(b.view().has_agent(a.id(), &agent("/x")) && !b.view().has_agent(b.id(), &agent("/x")));
    a.announce(vec![]);
    until("b sees it go", || !b.view().agent_present(&agent("/x"))).await;
}

#[tokio::test]
async fn one_that_joins_knows_at_once_who_is_there() {
    let backend = backend().await;
    let a = member(&backend).await;
    a.announce(vec![presence("/x").into()]);
    let witness = member(&backend).await;
    until("the announcement is stored", || witness.view().agent_present(&agent("/x"))).await;
    let b = member(&backend).await;
    assert!(b.view().agent_present(&agent("/x")));
}

#[tokio::test]
async fn a_clean_leave_is_seen_before_the_lease_ends() {
    let backend = backend().await;
    let options =
        handbell_delivery::MemberOptions { lease: std::time::Duration::from_secs(3_600), ..Default::default() };
    let a = handbell_delivery::Member::join(backend.clone(), options.clone()).await.unwrap();
    let b = handbell_delivery::Member::join(backend.clone(), options).await.unwrap();
    until("a sees b", || a.view().members().count() == 2).await;
    b.leave().await;
    until("a sees b go", || a.view().members().count() == 1).await;
}

#[tokio::test]
async fn a_crashed_member_is_there_until_its_lease_ends() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    b.announce(vec![presence("/x").into()]);
    until("a sees the agent", || a.view().agent_present(&agent("/x"))).await;
    drop(b);
    assert!(a.view().agent_present(&agent("/x")));
    until("the lease ends", || !a.view().agent_present(&agent("/x"))).await;
}

#[tokio::test]
async fn a_signal_reaches_every_member_its_sender_too() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let (mut at_a, mut at_b) = (a.signals(), b.signals());
    let signal = Signal { kind: "cancel".into(), body: "call 7".into() };
    a.signal(signal.clone());
    assert_eq!(*at_a.recv().await.unwrap(), signal);
    assert_eq!(*at_b.recv().await.unwrap(), signal);
}
