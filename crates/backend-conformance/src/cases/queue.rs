//! Queues: what is lent, to whom, in which order.

use std::{collections::BTreeSet, time::Duration};

use handbell_backend::{Class, QueueDelivery, QueueSpec, Settlement, Start};
use handbell_protocol::Priority;

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Lent, event, number, numbers_lent, patterns, poll_times, put_all, put_one, queue_spec},
};

pub(super) const CASES: &[Case] = &[
    case!(Queue, each_record_is_lent_to_one_consumer, "MUST NOT lend a record to two consumers at a time."),
    case!(
        Queue,
        express_comes_before_regular_and_oldest_first_within_a_lane,
        "MUST lend the express lane's records before the regular lane's, and within a lane oldest first among those that wait."
    ),
    case!(Queue, what_was_acked_is_never_lent_again, "Ack: done. A settlement MUST be durable before it answers.")
        .needs(&[Need::Crash]),
    case!(Queue, what_was_given_up_is_never_lent_again, "Term: given up, don't lend it again."),
    case!(
        Queue,
        a_queue_is_there_while_nobody_reads_it,
        "A durable queue; where it begins when it is made, afterwards without meaning."
    )
    .needs(&[Need::Reopen]),
    case!(
        Queue,
        a_queue_reads_its_class_and_topics_only,
        "The class and the topics that it reads; a record that matches several comes once."
    ),
    case!(Queue, queues_know_nothing_of_one_another, "The queue's state is kept under its name."),
    case!(
        Queue,
        a_dropped_pull_loses_nothing_and_counts_nothing,
        "MUST be cancel-safe: what a dropped call had lent is lent again without its attempt raised, or is handed out by the next call."
    ),
    case!(
        Queue,
        a_pull_waits_until_there_is_something,
        "Waits until at least one record can be lent, and lends at most max."
    ),
];

async fn each_record_is_lent_to_one_consumer(bench: Bench) -> Outcome {
    const RECORDS: u64 = 600;
    // More consumers than a small log has partitions would be of no use to a queue with order.
    const CONSUMERS: usize = 40;
    let backend = bench.open().await?;
    put_all(&*backend, (0..RECORDS).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let mut consumers = tokio::task::JoinSet::new();
    for _ in 0..CONSUMERS {
        let queue = Lent::open(&*bench.open().await?, queue_spec("q")?).await?;
        consumers.spawn(async move {
            let mut lent = vec![];
            while let Ok(more) = tokio::time::timeout(Duration::from_secs(2), queue.0.pull(5)).await {
                for delivery in more? {
                    ensure_eq!((delivery.attempt, delivery.suspect), (1, false), "a record that was never out");
                    lent.push(number(&delivery.record));
                    queue.ack(delivery).await?;
                }
            }
            Outcome::Ok(lent)
        });
    }
    let mut all = vec![];
    while let Some(done) = consumers.join_next().await {
        all.extend(done??);
    }
    let distinct: BTreeSet<_> = all.iter().copied().collect();
    ensure_eq!(all.len(), distinct.len(), "lendings of distinct records");
    ensure_eq!(distinct.len() as u64, RECORDS, "records lent in all");
    Ok(())
}

async fn express_comes_before_regular_and_oldest_first_within_a_lane(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let priorities = [Priority::Normal, Priority::Critical, Priority::Low, Priority::High];
    // One key: one partition, so that "oldest" means the same on every backend.
    let drafts = (0..40).map(|n| Ok(event("t", n)?.key("k").priority(priorities[n as usize % 4])));
    put_all(&*backend, drafts.collect::<Outcome<_>>()?).await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let lent = numbers_lent(&queue.pull_all(40).await?);
    let expected: Vec<u64> = (0..40).filter(|n| n % 2 == 1).chain((0..40).filter(|n| n % 2 == 0)).collect();
    ensure_eq!(lent, expected, "the order of lending");
    Ok(())
}

async fn what_was_acked_is_never_lent_again(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, (0..30).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    for delivery in queue.pull_all(10).await? {
        queue.ack(delivery).await?;
    }
    let backend = bench.crash().await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let mut lent = numbers_lent(&queue.pull_all(20).await?);
    lent.sort_unstable();
    ensure_eq!(lent, (10..30).collect::<Vec<_>>(), "what is lent after a crash");
    queue.nothing("everything is acked or out").await
}

async fn what_was_given_up_is_never_lent_again(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, vec![event("t", 1)?.key("k"), event("t", 2)?.key("k")]).await?;
    let mut spec = queue_spec("q")?;
    spec.ack_wait = bench.lease(Duration::from_secs(1));
    let queue = Lent::open(&*backend, spec).await?;
    let given_up = queue.pull_one().await?;
    let term = Settlement::Term { reason: "the payload can't be read".into() };
    ensure!(queue.settle(given_up, term).await?, "giving up had no effect");
    let other = queue.pull_one().await?;
    ensure_eq!(number(&other.record), 2, "what is lent next");
    queue.ack(other).await?;
    tokio::time::sleep(bench.lease(Duration::from_millis(1_100))).await;
    queue.nothing("one is given up and one is acked").await
}

async fn a_queue_is_there_while_nobody_reads_it(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 0)?).await?;
    let new = QueueSpec { start: Start::New, ..queue_spec("new")? };
    drop(Lent::open(&*backend, new.clone()).await?);
    drop(Lent::open(&*backend, queue_spec("oldest")?).await?);
    put_one(&*backend, event("t", 1)?).await?;
    drop(backend);
    let backend = bench.reopen().await?;
    put_one(&*backend, event("t", 2)?).await?;
    // Where a queue begins counts only when it is made.
    let oldest = QueueSpec { start: Start::New, ..queue_spec("oldest")? };
    for (spec, expected) in [(new, vec![1, 2]), (oldest, vec![0, 1, 2])] {
        let queue = Lent::open(&*backend, spec).await?;
        let mut lent = numbers_lent(&queue.pull_all(expected.len()).await?);
        lent.sort_unstable();
        ensure_eq!(lent, expected, "what waits in the queue");
        queue.nothing("everything is out").await?;
    }
    Ok(())
}

async fn a_queue_reads_its_class_and_topics_only(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let spec =
        QueueSpec { class: Class::Inbox, topics: patterns(&["agent.a", "agent.*", "pool.b"])?, ..queue_spec("q")? };
    let queue = Lent::open(&*backend, spec).await?;
    let rows = [("agent.a", Class::Inbox), ("agent.b", Class::Inbox), ("pool.b", Class::Inbox)];
    let strange = [("agent.a", Class::Ev), ("agent.a.c", Class::Inbox), ("pool.c", Class::Inbox)];
    for (n, (topic, class)) in (0..).zip(rows.into_iter().chain(strange)) {
        put_one(&*backend, event(topic, n)?.class(class)).await?;
    }
    let mut lent = numbers_lent(&queue.pull_all(3).await?);
    lent.sort_unstable();
    ensure_eq!(lent, [0, 1, 2], "what the queue reads");
    queue.nothing("the rest are other classes and topics").await
}

async fn queues_know_nothing_of_one_another(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, (0..10).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let one = Lent::open(&*backend, queue_spec("one")?).await?;
    let two = Lent::open(&*backend, queue_spec("two")?).await?;
    for delivery in one.pull_all(10).await? {
        one.ack(delivery).await?;
    }
    ensure_eq!(two.pull_all(10).await?.len(), 10, "records that the other queue lends");
    one.nothing("all are acked").await
}

async fn a_dropped_pull_loses_nothing_and_counts_nothing(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let mut seen = BTreeSet::new();
    for round in 0..60_u64 {
        put_one(&*backend, event("t", round)?).await?;
        let early = match round % 4 {
            3 => tokio::time::timeout(Duration::from_micros(100 * round), queue.0.pull(3)).await.ok(),
            step => poll_times(1 + step as usize, queue.0.pull(3)).await,
        };
        for delivery in early.transpose()?.into_iter().flatten() {
            settle_first(&queue, delivery, &mut seen).await?;
        }
    }
    while seen.len() < 60 {
        let delivery = queue.pull_one().await?;
        settle_first(&queue, delivery, &mut seen).await?;
    }
    queue.nothing("all are acked").await
}

async fn settle_first(queue: &Lent, delivery: QueueDelivery, seen: &mut BTreeSet<u64>) -> Outcome {
    let n = number(&delivery.record);
    ensure_eq!((delivery.attempt, delivery.suspect), (1, false), "number {n} after dropped pulls");
    ensure!(seen.insert(n), "number {n} was lent twice");
    queue.ack(delivery).await
}

async fn a_pull_waits_until_there_is_something(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    queue.nothing("there is nothing").await?;
    let writer = tokio::spawn({
        let backend = backend.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            put_all(&*backend, (0..5).map(|n| event("t", n)).collect::<Outcome<_>>()?).await
        }
    });
    ensure_eq!(queue.pull_all(5).await?.len(), 5, "what is lent once it is there");
    writer.await??;
    Ok(())
}
