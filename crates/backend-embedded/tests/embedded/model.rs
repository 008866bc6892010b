//! Tails against a plain list of what was published, with a ring so small, and
//! retention so busy, that every way of reading is taken.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use handbell_backend::{Backend, Class, Partition, Position, Start, Tail, TailItem, TailSpec};
use handbell_backend_embedded::{Clock, EmbeddedLog, Options, Retention};
use handbell_protocol::{Namespace, Timestamp, Topic, TopicPattern};
use proptest::prelude::*;

use crate::common::{out, pattern, soon, spec, stored};

/// `old.*` keep ten milliseconds, `kept.*` all.
const TOPICS: [&str; 5] = ["old.a", "old.b", "kept.a", "kept.b", "kept.c"];
const PARTITIONS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    Publish(usize, u16),
    Many(usize),
    Open(&'static str, usize, u8),
    Next(usize, usize),
    /// Time passes, and retention does its work: by itself it would do so later.
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let topics = prop::sample::select(vec![">", "old.*", "kept.*", "*.a", "old.a", "kept.c", "none"]);
    prop_oneof![
        4 => (0..TOPICS.len(), 0..PARTITIONS).prop_map(|(topic, partition)| Step::Publish(topic, partition)),
        1 => (1_usize..20).prop_map(Step::Many),
        2 => (topics, 0_usize..100, 0_u8..6).prop_map(|(topics, at, start)| Step::Open(topics, at, start)),
        4 => (0_usize..5, 1_usize..6).prop_map(|(tail, max)| Step::Next(tail, max)),
        3 => (1_i64..8).prop_map(Step::Pass),
    ]
}

struct Published {
    position: Position,
    topic: Topic,
    trimmed: bool,
}

/// A tail and what it has said so far.
struct Reader {
    tail: Box<dyn Tail>,
    topics: TopicPattern,
    partitions: BTreeSet<Partition>,
    /// What it must hand out or tell as missing, by offset: exactly these.
    from: Begin,
    opened_at: u64,
    level: bool,
    handed: BTreeSet<u64>,
    /// Ranges told as missing: partition, from, to.
    missing: Vec<(Partition, u64, u64)>,
}

enum Begin {
    After(u64),
    Since(Timestamp),
}

struct World {
    now: Arc<AtomicI64>,
    log: EmbeddedLog,
    backend: Arc<handbell_backend_embedded::EmbeddedBackend>,
    published: Vec<Published>,
    readers: Vec<Reader>,
}

impl World {
    fn new() -> Self {
        let now = Arc::new(AtomicI64::new(1_000));
        let clock = Arc::clone(&now);
        let age = Some(Duration::from_millis(10));
        let options = Options {
            retention: vec![Retention { class: Class::Ev, topics: pattern("old.*"), age, bytes: None }],
            recent_records: 6,
            clock: Clock::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed))),
            ..Options::memory()
        };
        let log = EmbeddedLog::open(options).unwrap();
        let backend = log.backend(Namespace::default());
        Self { now, log, backend, published: Vec::new(), readers: Vec::new() }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Publish(topic, partition) => self.publish(topic, partition).await,
            Step::Many(count) => {
                for n in 0..count {
                    self.publish(n % TOPICS.len(), (n % usize::from(PARTITIONS)) as u16).await;
                }
            }
            Step::Open(topics, at, start) => self.open(topics, at, start).await,
            Step::Next(reader, max) => {
                if let Some(mut reader) = (reader < self.readers.len()).then(|| self.readers.remove(reader)) {
                    self.next(&mut reader, max).await;
                    self.readers.push(reader);
                }
            }
            Step::Pass(millis) => {
                self.now.fetch_add(millis, Ordering::Relaxed);
                self.trim().await;
            }
        }
    }

    async fn publish(&mut self, topic: usize, partition: u16) {
        let receipt = stored(&*self.backend, out(&self.published.len().to_string(), TOPICS[topic], partition)).await;
        self.published.push(Published {
            position: receipt.position,
            topic: Topic::parse(TOPICS[topic]).unwrap(),
            trimmed: false,
        });
    }

    async fn trim(&mut self) {
        let now = Timestamp::from_millis(self.now.load(Ordering::Relaxed));
        self.log.trim(now).await.unwrap();
        for record in self.published.iter_mut().filter(|record| record.topic.as_str().starts_with("old")) {
            record.trimmed |= record.position.time.as_millis() < now.as_millis() - 10;
        }
    }

    async fn open(&mut self, topics: &'static str, at: usize, start: u8) {
        let end = self.published.last().map_or(0, |record| record.position.offset);
        let some = (!self.published.is_empty()).then(|| &self.published[at % self.published.len()].position);
        let oldest_kept = |record: &&Published| !record.trimmed;
        let first = self.published.iter().find(oldest_kept).map_or(end, |record| record.position.offset - 1);
        let (start, from) = match (start, some) {
            (0, _) | (_, None) => (Start::Oldest, Begin::After(first)),
            (1, _) => (Start::New, Begin::After(end)),
            (2, Some(position)) => (Start::Time(position.time), Begin::Since(position.time)),
            // Of another partition it counts as its time: so one partition only.
            (3 | 4, Some(position)) => (Start::After(position.clone()), Begin::After(position.offset)),
            (_, Some(position)) => (Start::At(position.clone()), Begin::After(position.offset - 1)),
        };
        let partitions = match &start {
            Start::At(position) | Start::After(position) => vec![position.partition],
            _ => (0..PARTITIONS).map(Partition).collect(),
        };
        let wanted = TailSpec {
            partitions: partitions.into_iter().map(|partition| (partition, start.clone())).collect(),
            ..spec(&[topics], &Start::New)
        };
        let topics = pattern(topics);
        let partitions = wanted.partitions.keys().copied().collect();
        let tail = self.backend.tail(wanted).await.unwrap();
        let mut reader = Reader {
            tail,
            topics,
            partitions,
            from,
            opened_at: end,
            level: false,
            handed: BTreeSet::new(),
            missing: Vec::new(),
        };
        if start == Start::Oldest {
            // What is removed already isn't missed.
            let removed = self.published.iter().filter(|record| record.trimmed);
            reader.handed.extend(removed.map(|record| record.position.offset));
        }
        self.readers.push(reader);
    }

    /// One item, if one is sure to come.
    async fn next(&self, reader: &mut Reader, max: usize) {
        let unread = |record: &&Published| reader.wants(record) && !record.trimmed;
        if reader.level && !self.published.iter().any(|record| unread(&record)) {
            return;
        }
        match soon(reader.tail.next(max)).await.unwrap() {
            TailItem::Level => {
                assert!(!reader.level, "level comes once");
                reader.level = true;
                let unread = self.published.iter().filter(|record| record.position.offset <= reader.opened_at);
                assert_eq!(unread.filter(|record| reader.wants(record)).count(), 0, "level comes when all is read");
            }
            TailItem::Trimmed(gap) => {
                assert!(gap.from.offset < gap.to.offset && gap.from.partition == gap.to.partition, "{gap:?}");
                let removed = self.published.iter().filter(|record| record.trimmed && reader.wants(record));
                let from = &gap.from;
                let mut behind = removed.map(|record| &record.position);
                let missing = behind.any(|p| p.partition == from.partition && p.offset >= from.offset);
                assert!(missing, "a gap where nothing is missing: {gap:?}");
                reader.missing.push((gap.from.partition, gap.from.offset, gap.to.offset));
            }
            TailItem::Records(records) => {
                assert!((1..=max).contains(&records.len()));
                for record in records {
                    self.hand(reader, &record.position);
                }
            }
        }
    }

    fn hand(&self, reader: &mut Reader, position: &Position) {
        let known = self.published.iter().find(|record| record.position == *position).unwrap();
        assert!(reader.wants(known), "{position} was not to come, or came before");
        let mut before = self.published.iter().filter(|record| {
            record.position.partition == position.partition && record.position.offset < position.offset
        });
        let skipped = before.find(|record| reader.wants(record)).map(|record| &record.position);
        assert!(skipped.is_none(), "{skipped:?} was skipped in silence before {position}");
        reader.handed.insert(position.offset);
    }

    /// Publishes one more everywhere and reads all to their ends.
    async fn finish(mut self) {
        for topic in 0..TOPICS.len() {
            for partition in 0..PARTITIONS {
                self.publish(topic, partition).await;
            }
        }
        for mut reader in std::mem::take(&mut self.readers) {
            let unread = |reader: &Reader| self.published.iter().any(|r| reader.wants(r) && !r.trimmed);
            while !reader.level || unread(&reader) {
                self.next(&mut reader, 4).await;
            }
            let silent = self.published.iter().filter(|record| reader.wants(record)).count();
            assert_eq!(silent, 0, "removed records were not told");
        }
    }
}

impl Reader {
    /// Whether the record is still owed: to be handed out, or told as missing.
    fn wants(&self, record: &Published) -> bool {
        let Position { offset, partition, time, .. } = &record.position;
        let begun = match self.from {
            Begin::After(after) => *offset > after,
            Begin::Since(begin) => *time >= begin,
        };
        let told = self.missing.iter().any(|(p, from, to)| p == partition && (*from..*to).contains(offset));
        let ours = self.topics.matches(&record.topic) && self.partitions.contains(partition);
        begun && ours && !self.handed.contains(offset) && !(told && record.trimmed)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_time: 30_000, ..ProptestConfig::default() })]
    #[test]
    fn a_tail_hands_out_each_record_once_in_order_or_tells_that_it_is_gone(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in steps {
                world.run(step).await;
            }
            world.finish().await;
        });
    }
}
