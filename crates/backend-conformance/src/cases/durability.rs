//! What is acknowledged survives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use handbell_backend::{Backend, Start};

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Reading, event, from, number, numbers, put, put_all, read_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Publish,
        an_acknowledged_record_survives_a_crash,
        "A receipt is Ok only after the record is durable: it MUST survive what the capabilities say."
    )
    .needs(&[Need::Crash]),
    case!(
        Publish,
        a_crash_in_the_midst_of_publishing_loses_nothing_that_was_acknowledged,
        "A receipt is Ok only after the record is durable, also while others are being written; what is kept is kept in order."
    )
    .schedules(&[21])
    .needs(&[Need::Crash]),
    case!(
        Tail,
        what_a_tail_has_shown_survives_a_crash,
        "A tail MUST hand out only records that are durable."
    )
    .needs(&[Need::Crash]),
    case!(
        Publish,
        a_log_that_was_ended_in_order_has_everything,
        "Close: what was handed over is written."
    )
    .needs(&[Need::Reopen]),
];

async fn an_acknowledged_record_survives_a_crash(bench: Bench) -> Outcome {
    let mut expected = vec![];
    for round in 0..3 {
        let backend = if round == 0 { bench.open().await? } else { bench.crash().await? };
        let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
        ensure_eq!(numbers(&records), expected, "records after crash {round}");
        for n in 0..10 {
            let n = round * 10 + n;
            ensure!(put(&*backend, vec![event("t", n)?.key("k")]).await?[0].is_ok(), "number {n} was not stored");
            expected.push(n);
        }
    }
    let backend = bench.crash().await?;
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), expected, "records after the last crash");
    Ok(())
}

async fn a_crash_in_the_midst_of_publishing_loses_nothing_that_was_acknowledged(bench: Bench) -> Outcome {
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let backend = bench.open().await?;
    let writers: Vec<_> = (0..4)
        .map(|writer| tokio::spawn(write_until_cut(backend.clone(), writer, Arc::clone(&acknowledged))))
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before: BTreeSet<u64> = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let backend = bench.crash().await?;
    writers.iter().for_each(tokio::task::JoinHandle::abort);
    ensure!(!before.is_empty(), "nothing was acknowledged before the crash");
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    let kept: BTreeSet<u64> = numbers(&records).into_iter().collect();
    ensure_eq!(kept.len(), records.len(), "distinct records");
    let lost: Vec<_> = before.difference(&kept).take(10).collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // A writer's numbers are one key's: what is kept is a row without holes.
    let mut last = BTreeMap::new();
    for record in &records {
        let (writer, n) = (number(record) / 1_000_000, number(record) % 1_000_000);
        let before = last.insert(writer, n);
        ensure_eq!(before.map_or(0, |before| before + 1), n, "the next number of writer {writer}");
    }
    Ok(())
}

/// Publishes a key's numbers in order until the log goes away.
async fn write_until_cut(backend: Arc<dyn Backend>, writer: u64, acknowledged: Arc<Mutex<BTreeSet<u64>>>) -> Outcome {
    for batch in 0_u64.. {
        let numbers: Vec<u64> = (0..10).map(|i| writer * 1_000_000 + batch * 10 + i).collect();
        let key = format!("w{writer}");
        let drafts = numbers.iter().map(|n| Ok(event("t", *n)?.key(&key))).collect::<Outcome<_>>()?;
        for (n, receipt) in numbers.iter().zip(put(&*backend, drafts).await?) {
            receipt?;
            acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(*n);
        }
    }
    Ok(())
}

async fn what_a_tail_has_shown_survives_a_crash(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let acknowledged = Arc::default();
    let writer = tokio::spawn(write_until_cut(backend.clone(), 0, acknowledged));
    let mut reading = Reading::open(&*backend, from(&*backend, Start::Oldest)).await?;
    let shown = reading.take(500).await?;
    let backend = bench.crash().await?;
    writer.abort();
    let kept = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure!(kept.len() >= shown.len(), "a tail has shown {} records, {} are kept", shown.len(), kept.len());
    ensure_eq!(numbers(&kept[..shown.len()]), numbers(&shown), "what a tail has shown");
    Ok(())
}

async fn a_log_that_was_ended_in_order_has_everything(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let drafts = (0..1_000).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?;
    put_all(&*backend, drafts).await?;
    drop(backend);
    let backend = bench.reopen().await?;
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), (0..1_000).collect::<Vec<_>>(), "records after a clean end");
    Ok(())
}
