//! Where reading begins, and positions of other lives of a log.

use std::{collections::BTreeMap, time::Duration};

use handbell_backend::{Backend, Class, Incarnation, Partition, Position, Start, Stored, TailSpec};
use handbell_protocol::{Lane, Timestamp};

use crate::{
    Bench, Case, Failure, Need, Outcome,
    case::case,
    fixture::{Reading, event, from, numbers, put_all, put_one, read_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Tail,
        reading_begins_at_or_after_a_position,
        "At: with the record at that position, or the first after it. After: with the first record after it."
    ),
    case!(
        Tail,
        reading_begins_at_a_time,
        "Time: with the first record stored at that broker time or later."
    ),
    case!(
        Tail,
        new_begins_with_what_is_stored_after_the_tail_was_opened,
        "New: with records stored after the tail was opened."
    ),
    case!(
        Tail,
        a_position_of_another_partition_counts_as_its_time,
        "A position of another partition, lane or incarnation counts as its time: some may come again from before it, none after it is left out."
    ),
    case!(
        Tail,
        positions_of_a_log_that_was_made_again_are_not_taken_for_new_ones,
        "A log that was deleted and made again has another incarnation, so that an old position is never taken for a new one."
    )
    .schedules(&[14, 15])
    .needs(&[Need::NewLife]),
    case!(
        Tail,
        the_ends_lie_before_whatever_is_published_next,
        "Ends: every record whose publish is handed over after this returns lies behind it."
    ),
    case!(
        Tail,
        fetch_answers_in_the_order_of_positions,
        "The records at these positions, in their order; None where there is none, or the position is of another incarnation."
    ),
    case!(
        Tail,
        positions_stay_good_after_a_restart,
        "A position from before a restart names the same record after it."
    )
    .needs(&[Need::Reopen]),
];

/// `count` records of one key, and the partition they lie in.
async fn one_key(backend: &dyn Backend, count: u64) -> Outcome<(Vec<Stored>, Partition)> {
    let drafts = (0..count).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?;
    let stored = put_all(backend, drafts).await?;
    let partition = stored.first().ok_or_else(|| Failure::new("nothing stored"))?.position.partition;
    Ok((stored, partition))
}

fn only(backend: &dyn Backend, partition: Partition, start: Start) -> TailSpec {
    TailSpec { partitions: BTreeMap::from([(partition, start)]), ..from(backend, Start::Oldest) }
}

async fn reading_begins_at_or_after_a_position(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let (stored, partition) = one_key(&*backend, 20).await?;
    for n in [0, 1, 10, 19] {
        // As a client keeps it: as text.
        let position: Position = stored[n].position.to_string().parse()?;
        let at = read_all(&*backend, only(&*backend, partition, Start::At(position.clone()))).await?;
        ensure_eq!(numbers(&at), (n as u64..20).collect::<Vec<_>>(), "from number {n}");
        let after = read_all(&*backend, only(&*backend, partition, Start::After(position))).await?;
        ensure_eq!(numbers(&after), (n as u64 + 1..20).collect::<Vec<_>>(), "after number {n}");
    }
    Ok(())
}

/// When a record was stored: its receipt may say a little less.
async fn stored_at(backend: &dyn Backend, stored: &Stored) -> Outcome<Timestamp> {
    let record = backend.fetch(std::slice::from_ref(&stored.position)).await?.pop().flatten();
    Ok(record.ok_or_else(|| Failure::new(format!("nothing is at {}", stored.position)))?.position.time)
}

async fn reading_begins_at_a_time(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let (before, partition) = one_key(&*backend, 5).await?;
    let last = before.last().ok_or_else(|| Failure::new("nothing stored"))?;
    let last = stored_at(&*backend, last).await?;
    // The broker's clock has to go on, by its own resolution at least.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let drafts = (5..10).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?;
    let after = put_all(&*backend, drafts).await?;
    let time = stored_at(&*backend, &after[0]).await?;
    ensure!(last < time, "the broker's clock stood still between {last} and {time}");
    let rows = [
        (time, 5..10),
        (Timestamp::from_millis(last.as_millis() + 1), 5..10),
        (Timestamp::from_millis(0), 0..10),
        (time.after(Duration::from_secs(3_600)), 10..10),
    ];
    for (time, expected) in rows {
        let records = read_all(&*backend, only(&*backend, partition, Start::Time(time))).await?;
        ensure_eq!(numbers(&records), expected.collect::<Vec<_>>(), "stored at {time} or later");
    }
    Ok(())
}

async fn new_begins_with_what_is_stored_after_the_tail_was_opened(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, (0..50).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let mut reading = Reading::open(&*backend, from(&*backend, Start::New)).await?;
    put_all(&*backend, (50..60).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let mut read = numbers(&reading.take(10).await?);
    read.sort_unstable();
    ensure_eq!(read, (50..60).collect::<Vec<_>>(), "what is new");
    reading.nothing().await
}

async fn a_position_of_another_partition_counts_as_its_time(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let (stored, own) = one_key(&*backend, 5).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let other = backend.capabilities().partitions.iter().find(|p| *p != own);
    let Some(other) = other else { return Ok(()) };
    let mark = put_one(&*backend, event("t", 5)?.key("k")).await?.position;
    ensure!(mark.time > stored[4].position.time, "the broker's clock stood still");
    let strange = [
        Position { partition: other, offset: u64::MAX >> 2, ..mark.clone() },
        Position { lane: Lane::Express, offset: 1, ..mark.clone() },
        Position { incarnation: Incarnation(mark.incarnation.0 ^ 1), offset: u64::MAX >> 2, ..mark.clone() },
    ];
    for position in strange {
        for start in [Start::At(position.clone()), Start::After(position.clone())] {
            let records = read_all(&*backend, only(&*backend, own, start.clone())).await?;
            ensure_eq!(numbers(&records), [5], "from {start:?}, which is of another row");
        }
    }
    Ok(())
}

async fn positions_of_a_log_that_was_made_again_are_not_taken_for_new_ones(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let (old, partition) = one_key(&*backend, 10).await?;
    drop(backend);
    let backend = bench.make_again().await?;
    let (new, _) = one_key(&*backend, 20).await?;
    ensure!(
        new.iter().all(|new| old.iter().all(|old| !old.position.comparable(&new.position))),
        "positions of the new log compare with those of the old one"
    );
    let start = Start::After(old[9].position.clone());
    let records = read_all(&*backend, only(&*backend, partition, start)).await?;
    ensure_eq!(numbers(&records), (0..20).collect::<Vec<_>>(), "what is read from a position of the old log");
    let fetched = backend.fetch(&[old[3].position.clone()]).await?;
    ensure!(fetched == [None], "a position of the old log fetches a record of the new one: {fetched:?}");
    Ok(())
}

async fn the_ends_lie_before_whatever_is_published_next(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    for round in 0..10_u64 {
        let ends = backend.ends(Class::Ev, Lane::Regular).await?;
        ensure_eq!(ends.len(), usize::from(backend.capabilities().partitions.get()), "partitions that have an end");
        put_all(&*backend, (0..30).map(|n| event("t", round * 30 + n)).collect::<Outcome<_>>()?).await?;
        let partitions = ends.into_iter().map(|(partition, end)| (partition, Start::After(end))).collect();
        let spec = TailSpec { partitions, ..from(&*backend, Start::Oldest) };
        let mut behind = numbers(&read_all(&*backend, spec).await?);
        behind.sort_unstable();
        ensure_eq!(behind, (round * 30..round * 30 + 30).collect::<Vec<_>>(), "what lies behind the ends");
    }
    Ok(())
}

async fn fetch_answers_in_the_order_of_positions(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let stored = put_all(&*backend, (0..20).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let at = |n: usize| stored[n].position.clone();
    let nowhere = Position { offset: u64::MAX >> 2, ..at(0) };
    let elsewhere = Position { incarnation: Incarnation(at(1).incarnation.0 ^ 1), ..at(1) };
    let asked = [at(7), nowhere, at(0), at(19), elsewhere, at(7)];
    let fetched = backend.fetch(&asked).await?;
    let found: Vec<_> = fetched.iter().map(|record| record.as_deref().map(crate::fixture::number)).collect();
    ensure_eq!(found, [Some(7), None, Some(0), Some(19), None, Some(7)], "what is fetched");
    ensure!(backend.fetch(&[]).await?.is_empty(), "nothing was asked for");
    Ok(())
}

async fn positions_stay_good_after_a_restart(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let (stored, partition) = one_key(&*backend, 10).await?;
    drop(backend);
    let backend = bench.reopen().await?;
    let next = put_one(&*backend, event("t", 10)?.key("k")).await?;
    ensure!(next.position.comparable(&stored[9].position), "a restart made another log of it");
    ensure!(next.position.offset > stored[9].position.offset, "an offset was used again");
    let after = Start::After(stored[4].position.clone());
    let records = read_all(&*backend, only(&*backend, partition, after)).await?;
    ensure_eq!(numbers(&records), (5..=10).collect::<Vec<_>>(), "what is read from a position of before");
    Ok(())
}
