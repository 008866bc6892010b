//! Queues: lending, settling, leases, restarts.

use std::time::Duration;

use handbell_backend::{Backend, CellName, Class, Queue, QueueDelivery, QueueSpec, Settlement, Start};

use crate::common::{express, memory, on_disk, out, pattern, publish, soon, stored};

const LONG: Duration = Duration::from_secs(3_600);

pub(crate) fn spec(name: &str, topics: &[&str]) -> QueueSpec {
    QueueSpec {
        name: CellName::of(&[name]),
        class: Class::Ev,
        topics: topics.iter().copied().map(pattern).collect(),
        start: Start::Oldest,
        ack_wait: LONG,
    }
}

fn nak(delay: Duration, counted: bool) -> Settlement {
    Settlement::Nak { delay, counted }
}

fn seen(deliveries: &[QueueDelivery]) -> Vec<(&str, u32, bool)> {
    deliveries.iter().map(|d| (d.record.envelope.event.id.as_str(), d.attempt, d.suspect)).collect()
}

async fn pull(queue: &dyn Queue, max: usize) -> Vec<QueueDelivery> {
    soon(queue.pull(max)).await.unwrap()
}

async fn settle(queue: &dyn Queue, deliveries: Vec<QueueDelivery>, how: Settlement) -> Vec<bool> {
    queue.settle(deliveries.into_iter().map(|d| (d.token, how.clone())).collect()).await.unwrap()
}

async fn nothing(queue: &dyn Queue) {
    let waited = tokio::time::timeout(Duration::from_millis(50), queue.pull(9)).await;
    assert!(waited.is_err(), "{:?}", seen(&waited.unwrap().unwrap()));
}

#[tokio::test]
async fn express_comes_first_and_the_oldest_first_within_a_lane() {
    let (_log, backend) = memory();
    let queue = backend.queue(spec("q", &["t.*"])).await.unwrap();
    let batch =
        vec![out("1", "t.a", 1), out("2", "t.b", 0), express("3", "t.a", 2), out("x", "u", 0), express("4", "t.b", 0)];
    publish(&*backend, batch).await;
    let first = pull(&*queue, 3).await;
    assert_eq!(seen(&first), [("3", 1, false), ("4", 1, false), ("1", 1, false)]);
    settle(&*queue, first, nak(Duration::ZERO, true)).await;
    stored(&*backend, express("5", "t.a", 0)).await;
    let order = [("3", 2, false), ("4", 2, false), ("5", 1, false), ("1", 2, false), ("2", 1, false)];
    assert_eq!(seen(&pull(&*queue, 9).await), order);
    nothing(&*queue).await;
}

#[tokio::test]
async fn many_consumers_share_the_records_without_repeats() {
    let (_log, backend) = memory();
    let mut consumers = tokio::task::JoinSet::new();
    let (seen, mut counted) = tokio::sync::mpsc::channel(4_096);
    for n in 0..40 {
        let queue = backend.queue(spec("q", &["t"])).await.unwrap();
        let seen = seen.clone();
        consumers.spawn(async move {
            while let Ok(lent) = queue.pull(1 + n % 3).await {
                for delivery in lent {
                    seen.send((delivery.record.envelope.event.id.clone(), delivery.attempt)).await.unwrap();
                    assert_eq!(queue.settle(vec![(delivery.token, Settlement::Ack)]).await.unwrap(), [true]);
                }
            }
        });
    }
    for n in 0..50 {
        publish(&*backend, (0..20).map(|m| out(&format!("{n}.{m}"), "t", m % 7)).collect()).await;
    }
    let mut all = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let (id, attempt) = soon(counted.recv()).await.unwrap();
        assert_eq!(attempt, 1);
        assert!(all.insert(id));
    }
    consumers.abort_all();
    while consumers.join_next().await.is_some() {}
    nothing(&*backend.queue(spec("q", &["t"])).await.unwrap()).await;
}

#[tokio::test]
async fn one_batch_wakes_as_many_consumers_as_it_has_work_for() {
    let (_log, backend) = memory();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let queue = backend.queue(spec("q", &["t"])).await.unwrap();
        waiting.spawn(async move { pull(&*queue, 1).await.len() });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    publish(&*backend, (0..5).map(|n| out(&n.to_string(), "t", n)).collect()).await;
    assert_eq!(soon(waiting.join_all()).await, [1; 5]);
}

#[tokio::test]
async fn settling_twice_has_one_effect() {
    let (_log, backend) = memory();
    let queue = backend.queue(spec("q", &["t"])).await.unwrap();
    stored(&*backend, out("1", "t", 0)).await;
    let delivery = pull(&*queue, 1).await.remove(0);
    let copy = handbell_backend::QueueToken { item: delivery.token.item, lease: delivery.token.lease };
    let twice = vec![(delivery.token, Settlement::Ack), (copy, nak(Duration::ZERO, true))];
    assert_eq!(queue.settle(twice).await.unwrap(), [true, false]);
    nothing(&*queue).await;
}

#[tokio::test]
async fn an_expired_lease_makes_a_suspect_and_its_token_has_no_effect() {
    let (_log, backend) = memory();
    let queue = backend.queue(QueueSpec { ack_wait: Duration::from_millis(1), ..spec("q", &["t"]) }).await.unwrap();
    stored(&*backend, out("1", "t", 0)).await;
    let late = pull(&*queue, 1).await;
    let patient = backend.queue(spec("q", &["t"])).await.unwrap();
    let again = pull(&*patient, 1).await;
    assert_eq!(seen(&again), [("1", 2, true)]);
    assert_eq!(settle(&*queue, late, Settlement::Ack).await, [false]);
    assert_eq!(settle(&*queue, again, nak(Duration::ZERO, false)).await, [true]);
    let third = pull(&*patient, 1).await;
    assert_eq!(seen(&third), [("1", 2, true)], "handed back unstarted: as suspect as before");
    assert_eq!(settle(&*queue, third, nak(Duration::ZERO, true)).await, [true]);
    assert_eq!(seen(&pull(&*patient, 1).await), [("1", 3, false)]);
}

#[tokio::test]
async fn an_extended_lease_goes_on() {
    let (_log, backend) = memory();
    let queue = backend.queue(QueueSpec { ack_wait: Duration::from_secs(2), ..spec("q", &["t"]) }).await.unwrap();
    stored(&*backend, out("1", "t", 0)).await;
    let lent = pull(&*queue, 1).await;
    assert_eq!(queue.extend(&[(&lent[0].token, LONG)]).await.unwrap(), [true]);
    assert!(tokio::time::timeout(Duration::from_millis(2_500), queue.pull(1)).await.is_err());
    assert_eq!(settle(&*queue, lent, Settlement::Ack).await, [true]);
}

#[tokio::test]
async fn a_delay_is_kept_through_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (_log, backend) = on_disk(dir.path());
        let queue = backend.queue(spec("q", &["t"])).await.unwrap();
        publish(&*backend, vec![out("1", "t", 0), out("2", "t", 0)]).await;
        let mut lent = pull(&*queue, 2).await;
        settle(&*queue, vec![lent.remove(0)], nak(LONG, true)).await;
        settle(&*queue, lent, nak(Duration::from_millis(100), true)).await;
        assert_eq!(seen(&pull(&*queue, 1).await), [("2", 2, false)]);
    }
    let (_log, backend) = on_disk(dir.path());
    let queue = backend.queue(spec("q", &["t"])).await.unwrap();
    assert_eq!(seen(&pull(&*queue, 9).await), [("2", 2, false)], "out at a clean end: not counted, no suspect");
    nothing(&*queue).await;
}

#[tokio::test]
async fn what_is_settled_stays_settled_and_what_waits_is_lent_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (_log, backend) = on_disk(dir.path());
        let queue = backend.queue(spec("q", &["t"])).await.unwrap();
        publish(&*backend, (0..10).map(|n| out(&n.to_string(), "t", n % 3)).collect()).await;
        let mut lent = pull(&*queue, 5).await;
        let rest = lent.split_off(3);
        settle(&*queue, lent, Settlement::Ack).await;
        drop(rest);
    }
    let (_log, backend) = on_disk(dir.path());
    let queue = backend.queue(spec("q", &["t"])).await.unwrap();
    let left = (3..10).map(|n| n.to_string()).collect::<Vec<_>>();
    let lent = pull(&*queue, 99).await;
    assert_eq!(seen(&lent), left.iter().map(|id| (id.as_str(), 1, false)).collect::<Vec<_>>());
}

/// Polled once, a pull has asked the writer to lend: then its caller is gone.
#[tokio::test]
async fn a_dropped_pull_loses_nothing_and_raises_no_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, backend) = on_disk(dir.path());
    let queue = backend.queue(spec("q", &["t"])).await.unwrap();
    publish(&*backend, (0..100).map(|n| out(&n.to_string(), "t", 0)).collect()).await;
    for round in 0..20 {
        // Where the commit was faster, the records go back as a consumer would give them back.
        if let Ok(lent) = tokio::time::timeout(Duration::ZERO, queue.pull(50)).await {
            settle(&*queue, lent.unwrap(), nak(Duration::ZERO, false)).await;
        }
        tokio::time::sleep(Duration::from_millis(round % 4)).await;
    }
    let mut attempts = Vec::new();
    while attempts.len() < 100 {
        let lent = pull(&*queue, 99).await;
        attempts.extend(lent.iter().map(|delivery| (delivery.attempt, delivery.suspect)));
        settle(&*queue, lent, Settlement::Ack).await;
    }
    assert!(attempts.iter().all(|seen| *seen == (1, false)), "{attempts:?}");
}

#[tokio::test]
async fn a_queue_begins_where_it_was_made_to() {
    let (_log, backend) = memory();
    let first = stored(&*backend, out("1", "t", 0)).await.position;
    stored(&*backend, out("2", "t", 1)).await;
    for (name, start, expected) in [
        ("new", Start::New, vec!["3"]),
        ("at", Start::At(first.clone()), vec!["1", "2", "3"]),
        ("after", Start::After(first), vec!["2", "3"]),
    ] {
        let queue = backend.queue(QueueSpec { start, ..spec(name, &["t"]) }).await.unwrap();
        if expected.len() == 1 {
            stored(&*backend, out("3", "t", 2)).await;
        }
        assert_eq!(seen(&pull(&*queue, 9).await).iter().map(|seen| seen.0).collect::<Vec<_>>(), expected, "{name}");
    }
}
