//! Storing: in order, one by one, bounded.

use std::collections::BTreeMap;

use handbell_backend::{Backend, PublishError, Start, Stored};
use handbell_protocol::Json;

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Draft, event, from, number, numbers, put, put_all, read_all, stored, within},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Publish,
        records_are_stored_in_the_order_in_which_their_batches_were_handed_over,
        "Records of one partition and lane MUST be stored in the order in which their batches were handed over and within the batch."
    ),
    case!(Publish, receipts_stand_in_the_order_of_their_batch, "The broker's answers, in the order of the batch."),
    case!(Publish, a_record_that_fails_stops_no_other, "One that fails doesn't stop the others."),
    case!(
        Publish,
        an_event_over_the_limit_is_refused_as_too_large,
        "A record may be larger than max_event only to be refused."
    ),
    case!(
        Publish,
        offsets_grow_with_the_order_of_storing,
        "Offsets of one log, partition, lane and incarnation grow with the order of storing and are never used again."
    ),
    case!(Publish, dropped_receipts_take_nothing_back, "Dropping the receipts doesn't take the publish back."),
    case!(
        Publish,
        a_flood_is_stored_or_answered_busy,
        "MUST be bounded: it waits, or answers Busy, rather than hold more and more."
    ),
];

async fn records_are_stored_in_the_order_in_which_their_batches_were_handed_over(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let partitions = backend.capabilities().partitions;
    let (mut n, mut receipts) = (0, vec![]);
    for size in [1, 7, 100, 3, 1, 50, 200, 2] {
        let batch: Vec<_> = (0..size)
            .map(|_| {
                n += 1;
                Ok(event("t", n)?.key(&format!("k{}", n % 5)).outgoing(partitions))
            })
            .collect::<Outcome<_>>()?;
        receipts.push(within("the backend takes a batch", backend.publish(batch)).await??);
    }
    for receipts in receipts {
        stored(within("receipts", receipts).await?)?;
    }
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(records.len() as u64, n, "records stored");
    let mut last = BTreeMap::new();
    for record in &records {
        let n = number(record);
        let before = last.insert(record.position.partition, n).unwrap_or(0);
        ensure!(before < n, "in partition {} number {n} came after {before}", record.position.partition);
    }
    Ok(())
}

async fn receipts_stand_in_the_order_of_their_batch(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let drafts: Vec<Draft> =
        (0..100).map(|n| Ok(event("t", n)?.id(&format!("evt-{n}")).key(&n.to_string()))).collect::<Outcome<_>>()?;
    let partitions = backend.capabilities().partitions;
    let expected: Vec<_> = drafts.iter().cloned().map(|draft| draft.outgoing(partitions).partition).collect();
    let receipts = put_all(&*backend, drafts).await?;
    for (n, receipt) in receipts.iter().enumerate() {
        ensure_eq!(receipt.id, format!("evt-{n}"), "the ID in receipt {n}");
        ensure_eq!(receipt.position.partition, expected[n], "the partition in receipt {n}");
        ensure!(!receipt.duplicate, "receipt {n} says that a fresh record is a duplicate");
    }
    Ok(())
}

async fn a_record_that_fails_stops_no_other(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let drafts = vec![event("t", 1)?.key("k"), too_large(&bench).await?.key("k"), event("t", 3)?.key("k")];
    let receipts = put(&*backend, drafts).await?;
    ensure!(receipts[0].is_ok() && receipts[2].is_ok(), "the neighbours of a refused record: {receipts:?}");
    ensure!(receipts[1].is_err(), "a record over the limit was stored: {receipts:?}");
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), [1, 3], "what is stored");
    Ok(())
}

async fn an_event_over_the_limit_is_refused_as_too_large(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let receipts = put(&*backend, vec![too_large(&bench).await?]).await?;
    match &receipts[0] {
        Err(error @ PublishError::TooLarge { size, max }) => {
            ensure!(size > max, "told as {size} bytes, where {max} are taken");
            ensure!(!error.is_retryable(), "too large is no matter of trying again");
        }
        other => ensure!(false, "{other:?} instead of TooLarge"),
    }
    Ok(())
}

async fn offsets_grow_with_the_order_of_storing(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let mut last: Option<Stored> = None;
    for round in 0..20 {
        let drafts = (0..10).map(|n| Ok(event("t", round * 10 + n)?.key("k"))).collect::<Outcome<_>>()?;
        for stored in put_all(&*backend, drafts).await? {
            if let Some(last) = &last {
                let (before, now) = (&last.position, &stored.position);
                ensure!(before.comparable(now), "{before} and {now} of one partition don't compare");
                ensure!(before.offset < now.offset, "offset {} was given after {}", now.offset, before.offset);
                ensure!(before.time <= now.time, "the broker's time went back from {} to {}", before.time, now.time);
            }
            ensure!(stored.position.offset > 0, "offset 0 is before the first");
            last = Some(stored);
        }
    }
    Ok(())
}

async fn dropped_receipts_take_nothing_back(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let partitions = backend.capabilities().partitions;
    for n in 0..20 {
        let batch = vec![event("t", n)?.key("k").outgoing(partitions)];
        drop(within("the backend takes a batch", backend.publish(batch)).await??);
    }
    // Behind them in their partition: once this one is stored they are.
    put_all(&*backend, vec![event("t", 20)?.key("k")]).await?;
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), (0..=20).collect::<Vec<_>>(), "what is stored");
    Ok(())
}

async fn a_flood_is_stored_or_answered_busy(bench: Bench) -> Outcome {
    const WRITERS: u64 = 16;
    const BATCHES: u64 = 25;
    let backend = bench.open().await?;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let backend = backend.clone();
        writers.spawn(async move {
            let mut kept = 0;
            for batch in 0..BATCHES {
                let drafts = (0..20).map(|n| event("t", writer * 10_000 + batch * 20 + n)).collect::<Outcome<_>>()?;
                for receipt in flood(&*backend, drafts).await? {
                    match receipt {
                        Ok(_) => kept += 1,
                        Err(PublishError::Busy { .. }) => {}
                        Err(other) => return Err(other.into()),
                    }
                }
            }
            Outcome::Ok(kept)
        });
    }
    let mut kept = 0;
    while let Some(done) = writers.join_next().await {
        kept += done??;
    }
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(records.len(), kept, "records after a flood whose receipts were Ok so often");
    ensure!(kept > 0, "everything was answered busy");
    Ok(())
}

/// A batch at a flood's rate: being told that there is too much is an answer.
async fn flood(backend: &dyn Backend, drafts: Vec<Draft>) -> Outcome<Vec<Result<Stored, PublishError>>> {
    let partitions = backend.capabilities().partitions;
    let batch = drafts.into_iter().map(|draft| draft.outgoing(partitions)).collect();
    match within("the backend takes a batch", backend.publish(batch)).await? {
        Ok(receipts) => within("the receipts of a batch", receipts).await,
        Err(error) => Ok(vec![Err(error)]),
    }
}

/// An event whose payload alone is over the limit.
async fn too_large(bench: &Bench) -> Outcome<Draft> {
    let max = bench.open().await?.capabilities().max_event;
    Ok(event("t", 2)?.payload(Json::from_text(format!("\"{}\"", "x".repeat(max)))?))
}
