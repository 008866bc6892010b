//! Retention: by age, by bytes, and what readers are told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use handbell_backend::{Backend, Class, Partition, Start, Tail, TailItem};
use handbell_backend_embedded::{Clock, EmbeddedBackend, EmbeddedLog, Options, Retention};
use handbell_protocol::{Namespace, Timestamp};

use crate::common::{ids, of_class, out, pattern, publish, read, soon, spec, stored, until_level};

const MINUTE: i64 = 60_000;

/// A log whose clock the test moves: `t` keeps a minute, `b` 2,000 bytes.
struct Fixture {
    now: Arc<AtomicI64>,
    log: EmbeddedLog,
    backend: Arc<EmbeddedBackend>,
}

fn rule(topics: &str, age: Option<u64>, bytes: Option<u64>) -> Retention {
    Retention { class: Class::Ev, topics: pattern(topics), age: age.map(Duration::from_secs), bytes }
}

fn fixture(mut options: Options) -> Fixture {
    let now = Arc::new(AtomicI64::new(1_763_000_000_000));
    let clock = Arc::clone(&now);
    options.clock = Clock::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)));
    options.retention = vec![rule("t", Some(60), None), rule("b", None, Some(2_000))];
    let log = EmbeddedLog::open(options).unwrap();
    let backend = log.backend(Namespace::default());
    Fixture { now, log, backend }
}

impl Fixture {
    fn pass(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    /// The writer trims by itself too: what counts is that it is done.
    async fn trim(&self) {
        self.log.trim(Timestamp::from_millis(self.now.load(Ordering::Relaxed))).await.unwrap();
    }
}

async fn next(tail: &mut dyn Tail) -> TailItem {
    soon(tail.next(99)).await.unwrap()
}

#[tokio::test]
async fn a_reader_that_was_overtaken_is_told_before_it_goes_on() {
    let f = fixture(Options::memory());
    let mut slow = f.backend.tail(spec(&["t"], &Start::Oldest)).await.unwrap();
    let old = stored(&*f.backend, out("old", "t", 3)).await.position;
    f.pass(MINUTE + 1);
    let kept = stored(&*f.backend, out("kept", "t", 3)).await.position;
    f.trim().await;
    assert!(matches!(next(&mut *slow).await, TailItem::Level), "it was empty when the tail was opened");
    let TailItem::Trimmed(gap) = next(&mut *slow).await else { panic!("the gap comes first") };
    assert!(gap.from.offset <= old.offset, "{gap:?}");
    assert_eq!((gap.from.partition, gap.to), (Partition(3), kept.clone()));
    let TailItem::Records(records) = next(&mut *slow).await else { panic!("then the records") };
    assert_eq!(ids(&records), ["kept"]);
    assert_eq!(f.backend.fetch(&[old.clone(), kept]).await.unwrap().iter().flatten().count(), 1);

    let mut returning = f.backend.tail(spec(&["t"], &Start::At(old.clone()))).await.unwrap();
    assert!(matches!(next(&mut *returning).await, TailItem::Trimmed(gap) if gap.from.offset == old.offset));
    let mut behind = f.backend.tail(spec(&["t"], &Start::After(old))).await.unwrap();
    assert_eq!(ids(&until_level(&mut *behind).await), ["kept"], "nothing that it wants is missing");
    assert_eq!(ids(&read(&*f.backend, spec(&["t"], &Start::Oldest)).await), ["kept"], "oldest misses nothing");
}

#[tokio::test]
async fn nobody_is_told_of_gaps_in_others_topics_or_partitions() {
    let f = fixture(Options::memory());
    let first = stored(&*f.backend, out("1", "u", 0)).await.position;
    stored(&*f.backend, out("old", "t", 0)).await;
    stored(&*f.backend, out("2", "u", 0)).await;
    stored(&*f.backend, out("3", "t.other", 7)).await;
    f.pass(MINUTE + 1);
    f.trim().await;
    let all_but_t = spec(&["u", "t.*"], &Start::At(first.clone()));
    assert_eq!(ids(&read(&*f.backend, all_but_t).await), ["1", "2", "3"]);
    let mut elsewhere = spec(&[], &Start::At(first));
    elsewhere.partitions.remove(&Partition(0));
    assert_eq!(ids(&read(&*f.backend, elsewhere).await), ["3"]);
}

#[tokio::test]
async fn a_gap_stands_between_the_records_that_are_there() {
    let f = fixture(Options::memory());
    let mut first = None;
    for (id, topic) in [("u1", "u"), ("t1", "t"), ("u2", "u"), ("t2", "t"), ("u3", "u")] {
        let position = stored(&*f.backend, out(id, topic, 0)).await.position;
        first.get_or_insert(position);
    }
    f.pass(MINUTE + 1);
    f.trim().await;
    let mut tail = f.backend.tail(spec(&[], &Start::At(first.unwrap()))).await.unwrap();
    let mut told = Vec::new();
    loop {
        match next(&mut *tail).await {
            TailItem::Records(records) => told.extend(ids(&records).into_iter().map(str::to_owned)),
            TailItem::Trimmed(gap) => told.push(format!("{}..{}", gap.from.offset, gap.to.offset)),
            TailItem::Level => break,
        }
    }
    assert_eq!(told, ["u1", "2..3", "u2", "4..5", "u3"]);
}

#[tokio::test]
async fn the_largest_size_of_a_topic_is_kept_by_removing_the_oldest() {
    let f = fixture(Options::memory());
    for n in 0..30 {
        stored(&*f.backend, out(&n.to_string(), "b", 0)).await;
    }
    f.trim().await;
    let left = read(&*f.backend, spec(&["b"], &Start::Oldest)).await;
    assert!((2..12).contains(&left.len()), "{}", left.len());
    assert_eq!(left.last().unwrap().envelope.event.id, "29");
    assert!(f.backend.topics(Class::Ev).await.unwrap()[0].bytes <= 2_000);
    assert_eq!(f.backend.lag(&spec(&["b"], &Start::Oldest)).await.unwrap(), left.len() as u64);
}

/// Schedule 15: an emptied log never uses an offset again, also when its
/// process crashes: the copy is what that leaves behind.
#[tokio::test]
async fn an_emptied_log_goes_on_behind_its_last_offset_after_a_crash() {
    let (origin, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let last = {
        let f = fixture(Options::dir(origin.path()));
        let receipts = publish(&*f.backend, (0..1_200).map(|n| out(&n.to_string(), "t", 1)).collect()).await;
        f.pass(MINUTE + 1);
        f.trim().await;
        assert!(f.backend.topics(Class::Ev).await.unwrap().is_empty());
        for file in ["handbell.db", "handbell.db-wal"] {
            std::fs::copy(origin.path().join(file), dir.path().join(file)).unwrap();
        }
        receipts.last().unwrap().clone().unwrap().position
    };
    let f = fixture(Options::dir(dir.path()));
    f.pass(10 * MINUTE);
    let next_one = stored(&*f.backend, out("next", "t", 1)).await.position;
    assert!(next_one.offset > last.offset);
    let mut away = f.backend.tail(spec(&["t"], &Start::At(last))).await.unwrap();
    assert!(matches!(next(&mut *away).await, TailItem::Trimmed(gap) if gap.to == next_one));
}

#[tokio::test]
async fn dead_letters_and_retries_stay_and_inboxes_last_seven_days() {
    let f = fixture(Options::memory());
    for class in [Class::Dlq, Class::Retry, Class::Inbox] {
        stored(&*f.backend, of_class(class, out("x", "t", 0))).await;
    }
    f.pass(7 * 24 * 60 * MINUTE - 1);
    f.trim().await;
    assert_eq!(f.backend.topics(Class::Inbox).await.unwrap().len(), 1);
    f.pass(2);
    f.trim().await;
    assert!(f.backend.topics(Class::Inbox).await.unwrap().is_empty());
    for class in [Class::Dlq, Class::Retry] {
        assert_eq!(f.backend.topics(class).await.unwrap().len(), 1, "{class:?}");
    }
}

#[tokio::test]
async fn broker_time_never_goes_back() {
    let f = fixture(Options::memory());
    let first = stored(&*f.backend, out("1", "u", 0)).await.position;
    f.pass(-60 * MINUTE);
    assert_eq!(stored(&*f.backend, out("2", "u", 0)).await.position.time, first.time);
}
