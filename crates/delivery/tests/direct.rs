//! Direct work: credit over all of a session's queues, attempts, answers.

mod common;

use std::time::Duration;

use common::{Session, agent, backend, direct, event, is_quiet, member, outgoing, publish, segment, send, until};
use handbell_backend::{Class, Start, TailItem, TailSpec, header};
use handbell_delivery::{ConsumerEvent, Leave, Presence, Verdict, inbox};
use handbell_protocol::{Lane, Target};

#[tokio::test]
async fn work_that_came_while_nobody_was_there_is_kept() {
    let backend = backend().await;
    send(&backend, &inbox::agent_topic(&agent("/a")), "e1").await;
    let member = member(&backend).await;
    let mut session = Session::direct(&member, direct("/a", "1"), 16).await;
    let delivered = session.delivery().await;
    assert_eq!((delivered.attempt, delivered.record.envelope.event.id.as_str()), (1, "e1"));
    session.settle(delivered.token, Verdict::Ack).await;
}

#[tokio::test]
async fn inbox_pool_and_capability_come_under_one_credit() {
    let backend = backend().await;
    let targets = ["/a", "pool:builders", "capability:rust"];
    for (n, target) in targets.iter().enumerate() {
        let topic = inbox::topic_of(&Target::parse(target).unwrap()).unwrap();
        send(&backend, &topic, &format!("e{n}")).await;
        send(&backend, &topic, &format!("f{n}")).await;
    }
    let member = member(&backend).await;
    let mut who = direct("/a", "1");
    who.pools = vec![segment("builders")];
    who.capabilities = vec![segment("rust")];
    let mut session = Session::direct(&member, who, 2).await;
    let mut ids = Vec::new();
    for left in (1..=6).rev() {
        let delivered = session.delivery().await;
        if left == 6 {
            let second = session.delivery().await;
            assert!(is_quiet(&mut session).await, "no more than the credit is out");
            ids.push(second.record.envelope.event.id.clone());
            session.settle(second.token, Verdict::Ack).await;
        }
        ids.push(delivered.record.envelope.event.id.clone());
        session.settle(delivered.token, Verdict::Ack).await;
        if ids.len() == 6 {
            break;
        }
    }
    ids.sort();
    assert_eq!(ids, ["e0", "e1", "e2", "f0", "f1", "f2"]);
}

#[tokio::test]
async fn a_nacked_one_comes_again_under_the_same_key_and_dies_after_the_fourth() {
    let backend = backend().await;
    let member = member(&backend).await;
    let mut session = Session::direct(&member, direct("/a", "1"), 16).await;
    send(&backend, &inbox::agent_topic(&agent("/a")), "e1").await;
    let (mut key, mut last) = (None, None);
    for attempt in 1..=4 {
        let delivered = session.delivery().await;
        assert_eq!(delivered.attempt, attempt);
        assert_eq!(*key.get_or_insert(delivered.idempotency_key.clone()), delivered.idempotency_key);
        session.nack(delivered.token, Duration::ZERO);
        last = Some(delivered.token);
    }
    while !matches!(session.next().await, ConsumerEvent::Settled(token) if Some(token) == last) {}
    let letter = dead_letter(&backend).await;
    assert_eq!(letter.envelope.event.id, "e1");
    assert_eq!(letter.headers.get(header::DLQ_COUNT), Some("4"));
    assert_eq!(letter.headers.get(header::DLQ_GROUP), Some("/a"));
    assert_eq!(letter.headers.get(header::DLQ_CLASS), Some("temporary_failure"));
    assert!(is_quiet(&mut session).await);
}

async fn dead_letter(
    backend: &std::sync::Arc<dyn handbell_backend::Backend>,
) -> std::sync::Arc<handbell_backend::Record> {
    let partitions = backend.capabilities().partitions.iter().map(|partition| (partition, Start::Oldest)).collect();
    let spec = TailSpec { class: Class::Dlq, lane: Lane::Regular, topics: vec![], partitions };
    let mut tail = backend.tail(spec).await.expect("class Dlq can be read");
    match tail.next(10).await.expect("class Dlq can be read") {
        TailItem::Records(records) => records[0].clone(),
        other => panic!("no dead letter: {other:?}"),
    }
}

#[tokio::test]
async fn a_lost_sessions_work_is_counted_and_a_clean_leavers_is_not() {
    for (how, attempt) in [(Leave::Clean, 1), (Leave::Lost, 2)] {
        let backend = backend().await;
        let member = member(&backend).await;
        let mut first = Session::direct(&member, direct("/a", "1"), 16).await;
        send(&backend, &inbox::agent_topic(&agent("/a")), "e1").await;
        first.delivery().await;
        first.take_consumer().leave(how);
        let mut second = Session::direct(&member, direct("/a", "2"), 16).await;
        assert_eq!(second.delivery().await.attempt, attempt, "{how:?}");
    }
}

#[tokio::test]
async fn a_drained_member_leaves_the_work_to_the_others() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut at_a = Session::direct(&a, direct("/a", "1"), 1).await;
    send(&backend, &inbox::agent_topic(&agent("/a")), "e1").await;
    let out = at_a.delivery().await;
    a.drain().await;
    let mut at_b = Session::direct(&b, direct("/a", "2"), 16).await;
    send(&backend, &inbox::agent_topic(&agent("/a")), "e2").await;
    assert_eq!(at_b.work(1).await, ["e2"]);
    at_a.settle(out.token, Verdict::Ack).await;
    assert!(is_quiet(&mut at_a).await);
}

#[tokio::test]
async fn what_a_leaving_member_has_out_is_given_back_counted() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut at_a = Session::direct(&a, direct("/a", "1"), 16).await;
    send(&backend, &inbox::agent_topic(&agent("/a")), "e1").await;
    at_a.delivery().await;
    a.leave().await;
    let mut at_b = Session::direct(&b, direct("/a", "2"), 16).await;
    assert_eq!(at_b.delivery().await.attempt, 2);
}

#[tokio::test]
async fn an_answer_finds_the_session_that_called_on_whichever_member_it_is() {
    let backend = backend().await;
    let (a, b) = (member(&backend).await, member(&backend).await);
    let mut others =
        vec![Session::direct(&a, direct("/a", "1"), 0).await, Session::direct(&b, direct("/a", "2"), 0).await];
    let mut caller = Session::direct(&b, direct("/a", "3"), 0).await;
    b.announce(vec![Presence { agent: agent("/a"), pools: vec![], capabilities: vec![], sessions: 2 }.into()]);
    until("a sees the agent at b", || a.view().has_agent(b.id(), &agent("/a"))).await;
    for n in 0..20 {
        let topic = inbox::reply_topic(&agent("/a"));
        let mut reply = outgoing(Class::Inbox, event(&topic, &format!("r{n}")));
        reply.headers.set(header::CALLER, "/a#3");
        reply.headers.set(inbox::CALLER_MEMBER, b.id().as_str());
        publish(&backend, vec![reply]).await;
    }
    let mut ids = caller.work(20).await;
    ids.sort_by_key(|id| id[1..].parse::<u32>().unwrap());
    assert_eq!(ids, (0..20).map(|n| format!("r{n}")).collect::<Vec<_>>());
    for other in &mut others {
        assert!(is_quiet(other).await);
    }
}
