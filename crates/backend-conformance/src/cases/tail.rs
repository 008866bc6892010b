//! Ordered reading: which records, in which order, each once.

use std::{collections::BTreeMap, time::Duration};

use handbell_backend::{Class, Partition, Start, TailItem, TailSpec};
use handbell_protocol::{Lane, Priority};

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{
        Reading, all_of, event, eventually, from, number, numbers, patterns, poll_once, put_all, put_one, read_all,
        within,
    },
};

pub(super) const CASES: &[Case] = &[
    case!(
        Tail,
        each_record_comes_once_in_the_order_of_offsets,
        "MUST hand out the records of a partition in the order of their offsets, each once, none left out."
    ),
    case!(
        Tail,
        a_tail_follows_what_is_stored_while_it_reads,
        "Waits for the next item: records that are stored later come too, each once."
    ),
    case!(
        Tail,
        level_comes_once_behind_everything_that_was_there,
        "Level: everything that was stored when the tail was opened has been handed out. Comes exactly once, also when there was nothing."
    ),
    case!(Tail, a_dropped_call_loses_nothing, "MUST be cancel-safe: a dropped call loses nothing."),
    case!(
        Tail,
        at_most_as_many_records_come_as_were_asked_for,
        "Waits for the next item: at most max records, never none."
    ),
    case!(
        Tail,
        patterns_choose_the_topics,
        "Topics and patterns; a record that matches several comes once; no topics are all topics."
    ),
    case!(
        Tail,
        only_the_named_partitions_are_read,
        "Each partition to read, and where to begin in it; no other partition's records come."
    ),
    case!(Tail, classes_and_lanes_are_read_apart, "One class and lane: records of another never come."),
    case!(
        Tail,
        lag_counts_what_a_tail_would_hand_out,
        "How many records a tail of the spec would hand out before it is level."
    ),
];

/// The classes whose records are durable.
pub(super) const EVERY_CLASS: [Class; 4] = [Class::Ev, Class::Inbox, Class::Retry, Class::Dlq];

async fn each_record_comes_once_in_the_order_of_offsets(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_u64 {
        let backend = backend.clone();
        writers.spawn(async move {
            let drafts = (0..250).map(|n| Ok(event("t", writer * 1_000 + n)?.key(&format!("w{writer}"))));
            put_all(&*backend, drafts.collect::<Outcome<_>>()?).await
        });
    }
    let mut reading = Reading::open(&*backend, from(&*backend, Start::Oldest)).await?;
    let records = reading.take(2_000).await?;
    while let Some(done) = writers.join_next().await {
        done??;
    }
    ensure_eq!(records.len(), 2_000, "records read");
    let (mut offsets, mut of_writer) = (BTreeMap::new(), BTreeMap::new());
    for record in &records {
        let position = &record.position;
        let before = offsets.insert(position.partition, position.offset).unwrap_or(0);
        ensure!(before < position.offset, "offset {} came after {before}", position.offset);
        let (writer, n) = (number(record) / 1_000, number(record) % 1_000);
        let expected = of_writer.insert(writer, n).map_or(0, |before| before + 1);
        ensure_eq!(n, expected, "the next number of writer {writer}");
    }
    Ok(())
}

async fn a_tail_follows_what_is_stored_while_it_reads(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 0)?.key("k")).await?;
    let mut reading = Reading::open(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&reading.until_level().await?), [0], "what was there");
    for n in 1..50 {
        put_one(&*backend, event("t", n)?.key("k")).await?;
        ensure_eq!(numbers(&reading.take(1).await?), [n], "what is stored while the tail reads");
    }
    reading.nothing().await
}

async fn level_comes_once_behind_everything_that_was_there(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let mut empty = Reading::open(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure!(empty.until_level().await?.is_empty(), "an empty log has records");
    put_all(&*backend, (0..350).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let mut full = Reading::open(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(full.until_level().await?.len(), 350, "records before the tail is level");
    put_all(&*backend, (350..360).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    ensure_eq!(full.take(10).await?.len(), 10, "records behind the level");
    ensure_eq!(empty.take(360).await?.len(), 360, "records behind the level of an empty log");
    full.nothing().await?;
    empty.nothing().await?;
    ensure_eq!((full.levels, empty.levels), (1, 1), "how often each tail was level");
    Ok(())
}

async fn a_dropped_call_loses_nothing(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let mut reading = Reading::open(&*backend, from(&*backend, Start::Oldest)).await?;
    let writer = tokio::spawn({
        let backend = backend.clone();
        async move {
            for n in 0..300 {
                put_one(&*backend, event("t", n)?.key("k")).await?;
            }
            Outcome::Ok(())
        }
    });
    let mut read = vec![];
    for turn in 0.. {
        let item = match turn % 3 {
            0 => poll_once(reading.tail.next(7)).await,
            1 => tokio::time::timeout(Duration::from_micros(30 * (turn % 200)), reading.tail.next(7)).await.ok(),
            _ if read.len() < 300 => Some(within("a tail's next item", reading.tail.next(7)).await?),
            _ => break,
        };
        match item.transpose()? {
            Some(TailItem::Records(records)) => read.extend(numbers(&records)),
            Some(TailItem::Trimmed(trimmed)) => ensure!(false, "nothing was removed: {trimmed:?}"),
            Some(TailItem::Level) | None => {}
        }
    }
    writer.await??;
    ensure_eq!(read, (0..300).collect::<Vec<_>>(), "what was read through dropped calls");
    Ok(())
}

async fn at_most_as_many_records_come_as_were_asked_for(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, (0..40).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let mut reading = Reading::open(&*backend, from(&*backend, Start::Oldest)).await?;
    let mut count = 0;
    while count < 40 {
        let max = 1 + count % 7;
        if let TailItem::Records(records) = within("a tail's next item", reading.tail.next(max)).await?? {
            ensure!((1..=max).contains(&records.len()), "{} records, asked for {max}", records.len());
            count += records.len();
        }
    }
    ensure_eq!(count, 40, "records in all");
    Ok(())
}

async fn patterns_choose_the_topics(bench: Bench) -> Outcome {
    const TOPICS: [&str; 7] = ["a", "a.b", "a.b.c", "a.x", "b", "a.b.c.d", "ab"];
    let backend = bench.open().await?;
    for (n, topic) in (0..).zip(TOPICS) {
        put_one(&*backend, event(topic, n)?.key("k")).await?;
    }
    let rows: [(&[&str], &[u64]); 9] = [
        (&[], &[0, 1, 2, 3, 4, 5, 6]),
        (&[">"], &[0, 1, 2, 3, 4, 5, 6]),
        (&["*"], &[0, 4, 6]),
        (&["a"], &[0]),
        (&["a.*"], &[1, 3]),
        (&["a.>"], &[1, 2, 3, 5]),
        (&["*.b.*"], &[2]),
        (&["a.b", "a.*", "a.>", "b"], &[1, 2, 3, 4, 5]),
        (&["nothing.>"], &[]),
    ];
    for (topics, expected) in rows {
        let spec = TailSpec { topics: patterns(topics)?, ..from(&*backend, Start::Oldest) };
        let lag = backend.lag(&spec).await?;
        ensure_eq!(numbers(&read_all(&*backend, spec).await?), expected, "records of {topics:?}");
        ensure_eq!(lag, expected.len() as u64, "lag of {topics:?}");
    }
    Ok(())
}

async fn only_the_named_partitions_are_read(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let stored = put_all(&*backend, (0..200).map(|n| event("t", n)).collect::<Outcome<_>>()?).await?;
    let chosen: Vec<Partition> = backend.capabilities().partitions.iter().step_by(3).collect();
    let spec =
        TailSpec { partitions: chosen.iter().map(|p| (*p, Start::Oldest)).collect(), ..from(&*backend, Start::Oldest) };
    let expected = stored.iter().filter(|stored| chosen.contains(&stored.position.partition)).count();
    let lag = backend.lag(&spec).await?;
    let mut reading = Reading::open(&*backend, spec).await?;
    let records = reading.until_level().await?;
    ensure_eq!(records.len(), expected, "records of the chosen partitions");
    ensure_eq!(lag, expected as u64, "lag of the chosen partitions");
    ensure!(records.iter().all(|r| chosen.contains(&r.position.partition)), "a record of another partition came");
    Ok(())
}

async fn classes_and_lanes_are_read_apart(bench: Bench) -> Outcome {
    const PRIORITIES: [(Lane, Priority); 4] = [
        (Lane::Regular, Priority::Low),
        (Lane::Regular, Priority::Normal),
        (Lane::Express, Priority::High),
        (Lane::Express, Priority::Critical),
    ];
    let backend = bench.open().await?;
    for (row, class) in (0..).zip(EVERY_CLASS) {
        for (n, (_, priority)) in (0..).zip(PRIORITIES) {
            put_one(&*backend, event("t", row * 10 + n)?.key("k").class(class).priority(priority)).await?;
        }
    }
    for (row, class) in (0..).zip(EVERY_CLASS) {
        for (lane, expected) in [(Lane::Regular, [0, 1]), (Lane::Express, [2, 3])] {
            let records = read_all(&*backend, all_of(&*backend, class, lane, Start::Oldest)).await?;
            ensure_eq!(numbers(&records), expected.map(|n| row * 10 + n), "{class:?}, {lane:?}");
            let right = records.iter().all(|r| r.position.class == class && r.position.lane == lane);
            ensure!(right, "a position of {class:?}, {lane:?} names another class or lane");
        }
    }
    Ok(())
}

async fn lag_counts_what_a_tail_would_hand_out(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    ensure_eq!(backend.lag(&from(&*backend, Start::Oldest)).await?, 0, "lag of an empty log");
    let stored = put_all(&*backend, (0..120).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let at = |start: Start| TailSpec {
        partitions: [(stored[0].position.partition, start)].into(),
        ..from(&*backend, Start::Oldest)
    };
    let position = stored[40].position.clone();
    for (start, expected) in
        [(Start::Oldest, 120), (Start::New, 0), (Start::At(position.clone()), 80), (Start::After(position), 79)]
    {
        let spec = at(start.clone());
        eventually("the lag is as a tail would read", || async { Ok(backend.lag(&spec).await? == expected) }).await?;
        let read = read_all(&*backend, at(start.clone())).await?.len() as u64;
        ensure_eq!(read, expected, "what a tail hands out from {start:?}");
    }
    Ok(())
}
