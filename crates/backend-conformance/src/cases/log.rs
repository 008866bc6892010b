//! The log as a whole: namespaces that never meet, listings, the end.

use std::time::Duration;

use bytes::Bytes;
use handbell_backend::{Backend, CellName, Class, Fault, PublishError, Start, StoreOutcome, TailItem};
use handbell_protocol::Priority;

use crate::{
    Bench, Case, Failure, Need, Outcome,
    case::case,
    fixture::{Lent, Reading, event, from, numbers, numbers_lent, put_all, put_one, queue_spec, read_all, within},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Log,
        namespaces_never_meet,
        "Two namespaces on one broker never meet: nothing stored in one MUST ever come out of a verb of the other."
    ),
    case!(
        Log,
        the_topics_of_a_class_are_listed_with_what_they_hold,
        "The topics of a class that have records, by name: how many, their bytes, and when the oldest and the newest were stored."
    ),
    case!(Log, waiting_calls_end_when_the_backend_is_closed, "Close ends everything: waiting calls fail with Closed."),
    case!(
        Log,
        nothing_is_acknowledged_after_the_end,
        "Close ends everything: what was handed over before is written, what comes later is refused."
    )
    .needs(&[Need::Reopen]),
];

async fn namespaces_never_meet(bench: Bench) -> Outcome {
    let beside = bench.beside()?;
    let (one, two) = (bench.open().await?, beside.open().await?);
    ensure!(one.namespace() != two.namespace(), "both handles are of {}", one.namespace());
    let (name, empty) = (CellName::of(&["c"]), Bytes::new());
    let mut tail = Reading::open(&*two, from(&*two, Start::Oldest)).await?;
    let queue = Lent::open(&*two, queue_spec("q")?).await?;
    let first = put_one(&*one, event("t", 1)?.key("k").once("p#1")).await?;
    one.cell_store(&name, Bytes::from_static(b"one"), None).await?;
    // The other sees none of it.
    ensure!(tail.until_level().await?.is_empty(), "a tail of the other namespace");
    ensure!(two.topics(Class::Ev).await?.is_empty(), "the other namespace's topics");
    ensure!(two.cell_load(&name).await?.is_none(), "the other namespace's cell");
    ensure!(two.cells(&name).await?.is_empty(), "the other namespace's cells");
    ensure_eq!(two.lag(&from(&*two, Start::Oldest)).await?, 0, "the other namespace's lag");
    ensure!(two.fetch(std::slice::from_ref(&first.position)).await? == [None], "a fetch of the other namespace");
    queue.nothing("the other namespace has a record").await?;
    // And what it does under the same names stays its own.
    let second = put_one(&*two, event("t", 2)?.key("k").once("p#1")).await?;
    ensure!(!second.duplicate, "a dedup key of the other namespace");
    let stored = two.cell_store(&name, empty, None).await?;
    ensure!(matches!(stored, StoreOutcome::Stored(_)), "a cell of the other namespace fenced this one");
    ensure_eq!(numbers_lent(&queue.pull_all(1).await?), [2], "the queue of the other namespace");
    for (backend, n) in [(&one, 1), (&two, 2)] {
        let records = read_all(&**backend, from(&**backend, Start::Oldest)).await?;
        ensure_eq!(numbers(&records), [n], "the records of {}", backend.namespace());
    }
    tail.take(1).await?;
    tail.nothing().await
}

async fn the_topics_of_a_class_are_listed_with_what_they_hold(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    ensure!(backend.topics(Class::Ev).await?.is_empty(), "topics of an empty log");
    let mut newest = None;
    for (topic, count) in [("b", 3_u64), ("a.z", 1), ("a.b", 7)] {
        // Both lanes are one topic.
        let priority = |n| if n % 2 == 0 { Priority::Normal } else { Priority::High };
        let drafts = (0..count).map(|n| Ok(event(topic, n)?.priority(priority(n)))).collect::<Outcome<_>>()?;
        newest = put_all(&*backend, drafts).await?.pop();
    }
    put_one(&*backend, event("other", 0)?.class(Class::Dlq)).await?;
    let topics = backend.topics(Class::Ev).await?;
    let rows: Vec<_> = topics.iter().map(|info| (info.topic.as_str(), info.records)).collect();
    ensure_eq!(rows, [("a.b", 7), ("a.z", 1), ("b", 3)], "topics and their records");
    for info in &topics {
        ensure!(info.bytes > info.records * 7, "{} bytes of {}", info.bytes, info.topic);
        ensure!(info.oldest <= info.newest, "{}: oldest {}, newest {}", info.topic, info.oldest, info.newest);
    }
    let newest: Vec<_> = newest.into_iter().map(|stored| stored.position).collect();
    let newest = backend.fetch(&newest).await?.pop().flatten().map(|record| record.position.time);
    ensure_eq!(Some(topics[0].newest), newest, "when the newest was stored");
    Ok(())
}

async fn waiting_calls_end_when_the_backend_is_closed(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let mut reading = Reading::open(&*backend, from(&*backend, Start::New)).await?;
    reading.until_level().await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let waiting_tail = tokio::spawn(async move { reading.tail.next(1).await });
    let waiting_pull = tokio::spawn(async move { queue.0.pull(1).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    within("the backend closes", backend.close()).await?;
    match within("a waiting tail ends", waiting_tail).await?? {
        Err(error) => ensure_eq!(error.fault, Fault::Closed, "how a waiting tail ends ({error})"),
        Ok(TailItem::Level) => return Err(Failure::new("a tail is level twice")),
        Ok(item) => return Err(Failure::new(format!("a waiting tail ended with {item:?}"))),
    }
    match within("a waiting pull ends", waiting_pull).await?? {
        Err(error) => ensure_eq!(error.fault, Fault::Closed, "how a waiting pull ends ({error})"),
        Ok(lent) => return Err(Failure::new(format!("a waiting pull lent {:?}", numbers_lent(&lent)))),
    }
    let load = within("a load after the end", backend.cell_load(&CellName::of(&["c"]))).await?;
    ensure!(load.is_err_and(|error| error.fault == Fault::Closed), "a load after the end");
    Ok(())
}

async fn nothing_is_acknowledged_after_the_end(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let partitions = backend.capabilities().partitions;
    let batch = (0..50).map(|n| Ok(event("t", n)?.key("k").outgoing(partitions))).collect::<Outcome<_>>()?;
    let before = within("the backend takes a batch", backend.publish(batch)).await??;
    within("the backend closes", backend.close()).await?;
    let before: Vec<Result<_, PublishError>> = within("receipts from before the end", before).await?;
    ensure!(before.iter().all(Result::is_ok), "what was handed over before the end: {before:?}");
    ensure!(is_refused(&*backend).await?, "a record was acknowledged after the end");
    drop(backend);
    let backend = bench.reopen().await?;
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), (0..50).collect::<Vec<_>>(), "what was written before the end");
    Ok(())
}

async fn is_refused(backend: &dyn Backend) -> Outcome<bool> {
    let late = event("t", 50)?.key("k").outgoing(backend.capabilities().partitions);
    Ok(match within("an answer after the end", backend.publish(vec![late])).await? {
        Err(_) => true,
        Ok(receipts) => within("a receipt after the end", receipts).await?.iter().all(Result::is_err),
    })
}
