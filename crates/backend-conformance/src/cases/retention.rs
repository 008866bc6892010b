//! What retention removes is told, never jumped over.

use handbell_backend::{Backend, Class, Start, Stored, TailItem, TailSpec};

use crate::{
    Bench, Case, Failure, Need, Outcome,
    case::case,
    fixture::{Reading, event, from, numbers, put_all, put_one, read_all, within},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Retention,
        a_tail_from_a_position_that_is_gone_is_told,
        "Trimmed: retention removed records that this tail had not read; comes before the records behind the gap, never a silent jump."
    )
    .schedules(&[17])
    .needs(&[Need::Retention]),
    case!(
        Retention,
        retention_that_overtakes_a_slow_tail_is_told,
        "MUST leave out no record except as told by Trimmed, also where retention overtakes a slow but living reader."
    )
    .schedules(&[40])
    .needs(&[Need::Retention]),
    case!(
        Retention,
        a_tail_that_has_read_everything_is_told_nothing,
        "Trimmed tells only of records that this tail had not read."
    )
    .needs(&[Need::Retention]),
    case!(
        Retention,
        the_oldest_that_is_kept_is_no_gap,
        "Oldest: with the oldest record that is kept."
    )
    .needs(&[Need::Retention]),
    case!(
        Retention,
        what_is_gone_is_fetched_as_nothing,
        "None where retention has removed one."
    )
    .needs(&[Need::Retention]),
    case!(
        Retention,
        an_emptied_log_uses_no_offset_again,
        "Offsets are never used again, also when the log was emptied by retention and restarted."
    )
    .schedules(&[15])
    .needs(&[Need::Retention, Need::Reopen]),
];

async fn key(backend: &dyn Backend, numbers: std::ops::Range<u64>) -> Outcome<Vec<Stored>> {
    put_all(backend, numbers.map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await
}

fn of_key(backend: &dyn Backend, stored: &Stored, start: Start) -> TailSpec {
    TailSpec { partitions: [(stored.position.partition, start)].into(), ..from(backend, Start::Oldest) }
}

async fn a_tail_from_a_position_that_is_gone_is_told(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let old = key(&*backend, 0..10).await?;
    bench.trim(Class::Ev).await?;
    let new = key(&*backend, 10..15).await?;
    for (start, from) in [
        (Start::At(old[2].position.clone()), &old[2].position),
        (Start::After(old[2].position.clone()), &old[3].position),
    ] {
        let mut reading = Reading::open(&*backend, of_key(&*backend, &old[0], start.clone())).await?;
        let mut first = None;
        while first.is_none() {
            match within("a tail's next item", reading.tail.next(100)).await?? {
                TailItem::Level => {}
                item => first = Some(item),
            }
        }
        let Some(TailItem::Trimmed(trimmed)) = first else {
            return Err(Failure::new(format!("{start:?} was removed, and the tail began with {first:?}")));
        };
        ensure!(trimmed.from.offset <= from.offset, "the gap begins at {}, {from} is gone too", trimmed.from);
        ensure!(trimmed.to.offset > old[9].position.offset, "{} is said to be there", trimmed.to);
        ensure!(trimmed.to.offset <= new[0].position.offset, "{} is there before {}", new[0].position, trimmed.to);
        ensure_eq!(numbers(&reading.take(5).await?), (10..15).collect::<Vec<_>>(), "behind the gap");
    }
    Ok(())
}

async fn retention_that_overtakes_a_slow_tail_is_told(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let old = key(&*backend, 0..1_000).await?;
    let mut slow = Reading::open(&*backend, of_key(&*backend, &old[0], Start::Oldest)).await?;
    let mut read = numbers(&slow.take(10).await?);
    bench.trim(Class::Ev).await?;
    key(&*backend, 1_000..1_005).await?;
    while read.last() != Some(&1_004) {
        read.extend(numbers(&slow.next().await?));
    }
    let hole = read.windows(2).find(|pair| pair[1] != pair[0] + 1);
    match (hole, slow.trimmed.as_slice()) {
        // A tail may have had all of it in its hands already.
        (None, []) => Ok(()),
        (Some(hole), [trimmed]) => {
            let lost = (hole[1] - hole[0] - 1) as usize;
            ensure!(
                trimmed.count.is_none_or(|count| count as usize == lost),
                "{:?} told, {lost} missing",
                trimmed.count
            );
            let first_lost = &old[hole[0] as usize + 1].position;
            ensure!(trimmed.from.offset <= first_lost.offset, "the gap is told from {} on", trimmed.from);
            Ok(())
        }
        (hole, told) => Err(Failure::new(format!("a hole at {hole:?}, told as {told:?}"))),
    }
}

async fn a_tail_that_has_read_everything_is_told_nothing(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let old = key(&*backend, 0..10).await?;
    let mut reading = Reading::open(&*backend, of_key(&*backend, &old[0], Start::Oldest)).await?;
    reading.take(10).await?;
    bench.trim(Class::Ev).await?;
    key(&*backend, 10..12).await?;
    ensure_eq!(numbers(&reading.take(2).await?), [10, 11], "what comes next");
    let after = Start::After(old[9].position.clone());
    let mut again = Reading::open(&*backend, of_key(&*backend, &old[0], after)).await?;
    ensure_eq!(numbers(&again.take(2).await?), [10, 11], "what comes after the last that is gone");
    ensure!(reading.trimmed.is_empty(), "a gap before which everything was read: {:?}", reading.trimmed);
    ensure!(again.trimmed.is_empty(), "a gap where nothing is missing: {:?}", again.trimmed);
    Ok(())
}

async fn the_oldest_that_is_kept_is_no_gap(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let old = key(&*backend, 0..10).await?;
    bench.trim(Class::Ev).await?;
    let spec = of_key(&*backend, &old[0], Start::Oldest);
    ensure!(read_all(&*backend, spec.clone()).await?.is_empty(), "records that retention has removed");
    ensure_eq!(backend.lag(&spec).await?, 0, "lag of what is gone");
    key(&*backend, 10..12).await?;
    let mut reading = Reading::open(&*backend, spec).await?;
    ensure_eq!(numbers(&reading.until_level().await?), [10, 11], "the oldest that are kept");
    ensure!(reading.trimmed.is_empty(), "the oldest that is kept was told as a gap: {:?}", reading.trimmed);
    Ok(())
}

async fn what_is_gone_is_fetched_as_nothing(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let old = key(&*backend, 0..2).await?;
    let kept = put_one(&*backend, event("t", 7)?.class(Class::Dlq)).await?;
    bench.trim(Class::Ev).await?;
    let new = key(&*backend, 2..3).await?;
    let asked = [&old[0], &kept, &old[1], &new[0]].map(|stored| stored.position.clone());
    let found: Vec<_> = backend.fetch(&asked).await?.iter().map(Option::is_some).collect();
    ensure_eq!(found, [false, true, false, true], "what is found");
    Ok(())
}

async fn an_emptied_log_uses_no_offset_again(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let old = key(&*backend, 0..10).await?;
    bench.trim(Class::Ev).await?;
    drop(backend);
    let backend = bench.reopen().await?;
    let new = key(&*backend, 10..15).await?;
    let (last, first) = (&old[9].position, &new[0].position);
    ensure!(!first.comparable(last) || first.offset > last.offset, "{first} was given after {last}");
    let records = read_all(&*backend, of_key(&*backend, &old[0], Start::After(last.clone()))).await?;
    ensure_eq!(numbers(&records), (10..15).collect::<Vec<_>>(), "what comes after the last of before");
    Ok(())
}
