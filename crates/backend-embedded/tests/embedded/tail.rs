//! Tails: starts, level, switching between database and memory, waking.

use crate::common::{ids, memory, on_disk, out, read, soon, spec, stored, until_level};
use handbell_backend::{Backend, Class, Partition, Position, Start, TailItem, TailSpec};
use handbell_protocol::{Lane, Timestamp};

use std::sync::Arc;

async fn numbered(backend: &dyn Backend, count: u32) -> Vec<Position> {
    let mut positions = Vec::new();
    for n in 0..count {
        let record = out(&n.to_string(), "t", u16::try_from(n % 4).unwrap());
        positions.push(stored(backend, record).await.position);
    }
    positions
}

#[tokio::test]
async fn each_start_begins_where_it_says() {
    let (_log, backend) = memory();
    let positions = numbered(&*backend, 8).await;
    let one = |start: Start| TailSpec { partitions: [(Partition(1), start)].into(), ..spec(&["t"], &Start::New) };
    for (start, expected) in [
        (Start::Oldest, vec!["1", "5"]),
        (Start::New, vec![]),
        (Start::At(positions[1].clone()), vec!["1", "5"]),
        (Start::After(positions[1].clone()), vec!["5"]),
        (Start::After(positions[5].clone()), vec![]),
        (Start::Time(Timestamp::from_millis(0)), vec!["1", "5"]),
        (Start::Time(positions[7].time.after(std::time::Duration::from_secs(60))), vec![]),
        (
            Start::After(Position { incarnation: handbell_backend::Incarnation(1), ..positions[1].clone() }),
            vec!["1", "5"],
        ),
    ] {
        assert_eq!(ids(&read(&*backend, one(start.clone())).await), expected, "{start:?}");
        assert_eq!(backend.lag(&one(start)).await.unwrap(), expected.len() as u64);
    }
}

#[tokio::test]
async fn level_comes_once_also_for_an_empty_log_and_new_records_follow() {
    let (_log, backend) = memory();
    let mut tail = backend.tail(spec(&["t"], &Start::Oldest)).await.unwrap();
    assert!(matches!(soon(tail.next(1)).await.unwrap(), TailItem::Level));
    for n in 0..3 {
        stored(&*backend, out(&n.to_string(), "t", 0)).await;
        let TailItem::Records(records) = soon(tail.next(10)).await.unwrap() else { panic!("records are there") };
        assert_eq!(ids(&records), [n.to_string()]);
    }
}

#[tokio::test]
async fn new_hands_out_every_record_published_after_the_tail_was_opened() {
    let (_log, backend) = memory();
    numbered(&*backend, 5).await;
    let mut tail = backend.tail(spec(&["t"], &Start::New)).await.unwrap();
    stored(&*backend, out("after", "t", 0)).await;
    assert!(until_level(&mut *tail).await.is_empty());
    let TailItem::Records(records) = soon(tail.next(10)).await.unwrap() else { panic!("a record is there") };
    assert_eq!(ids(&records), ["after"]);
}

#[tokio::test]
async fn a_dropped_call_loses_nothing() {
    let (_log, backend) = memory();
    let mut tail = backend.tail(spec(&["t"], &Start::Oldest)).await.unwrap();
    until_level(&mut *tail).await;
    for n in 0..20 {
        assert!(tokio::time::timeout(std::time::Duration::ZERO, tail.next(1)).await.is_err());
        stored(&*backend, out(&n.to_string(), "t", 0)).await;
        let TailItem::Records(records) = soon(tail.next(1)).await.unwrap() else { panic!("a record is there") };
        assert_eq!(ids(&records), [n.to_string()]);
    }
}

/// Far behind the ring at first, among many others' records, then level: no
/// gap and no repeat at the seam, whichever way the channels are merged.
#[tokio::test]
async fn a_reader_far_behind_catches_up_without_gap_or_repeat() {
    for topics in [1, 5, 50] {
        let dir = tempfile::tempdir().unwrap();
        let (log, backend) = on_disk(dir.path());
        let name = move |n: u32| format!("t.{}", n % topics);
        let publishing = |range: std::ops::Range<u32>| {
            let backend = Arc::clone(&backend);
            async move {
                for chunk in range.collect::<Vec<_>>().chunks(1_000) {
                    let batch = chunk.iter().map(|n| out(&n.to_string(), &name(*n), (*n % 32) as u16)).collect();
                    assert!(backend.publish(batch).await.unwrap().await.iter().all(Result::is_ok));
                }
            }
        };
        publishing(0..20_000).await;
        let mut tail = backend.tail(spec(&["t.>"], &Start::Oldest)).await.unwrap();
        let more = tokio::spawn(publishing(20_000..30_000));
        let mut next = 0_u32;
        while next < 30_000 {
            if let TailItem::Records(records) = soon(tail.next(333)).await.unwrap() {
                for record in records {
                    assert_eq!(record.envelope.event.id, next.to_string());
                    next += 1;
                }
            }
        }
        more.await.unwrap();
        log.close().await;
    }
}

#[tokio::test]
async fn ends_are_the_last_records_of_their_partitions_and_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backend) = on_disk(dir.path());
    let positions = numbered(&*backend, 8).await;
    let ends = backend.ends(Class::Ev, Lane::Regular).await.unwrap();
    assert_eq!(ends.len(), 32);
    assert_eq!(ends[1], (Partition(1), positions[5].clone()));
    assert_eq!(ends[9].1.offset, 0);
    log.close().await;
    let (_log, backend) = on_disk(dir.path());
    let reopened = backend.ends(Class::Ev, Lane::Regular).await.unwrap();
    assert_eq!(reopened[..8], ends[..8]);
    let next = stored(&*backend, out("next", "t", 1)).await.position;
    assert!(next.offset > ends[1].1.offset && next.time >= ends[1].1.time);
}

#[tokio::test]
async fn a_thousand_tails_each_get_their_own() {
    let (_log, backend) = memory();
    let mut tails = Vec::new();
    for n in 0..1_000 {
        tails.push(backend.tail(spec(&[&format!("t.{n}")], &Start::New)).await.unwrap());
    }
    let batch = (0..1_000).map(|n| out(&n.to_string(), &format!("t.{n}"), 0)).collect();
    crate::common::publish(&*backend, batch).await;
    for (n, tail) in tails.iter_mut().enumerate() {
        assert!(until_level(&mut **tail).await.is_empty());
        let TailItem::Records(records) = soon(tail.next(9)).await.unwrap() else { panic!("a record is there") };
        assert_eq!(ids(&records), [n.to_string()]);
    }
}

#[tokio::test]
async fn members_have_tails_of_their_own_and_write_nothing_to_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, backend) = on_disk(dir.path());
    let beat = |id| crate::common::of_class(Class::Members, out(id, "m", 0));
    let members = |start| TailSpec { class: Class::Members, ..spec(&["m"], &start) };
    let batch = vec![beat("1"), out("event", "m", 0), beat("2")];
    assert!(crate::common::publish(&*backend, batch).await.iter().all(Result::is_ok));
    assert_eq!(ids(&read(&*backend, members(Start::Oldest)).await), ["1", "2"]);
    let stored = stored(&*backend, beat("3")).await;
    assert_eq!(backend.fetch(&[stored.position]).await.unwrap()[0].as_ref().unwrap().envelope.event.id, "3");
    assert_eq!(ids(&read(&*backend, spec(&["m"], &Start::Oldest)).await), ["event"]);
}
