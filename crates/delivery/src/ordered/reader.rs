//! The readers: one per source and lane, each with one tail over the
//! partitions that the machine wants read.

use std::{collections::BTreeMap, sync::Arc};

use handbell_backend::{Class, Partition, Record, Start, TailItem, TailSpec};
use handbell_groups::{Begin, Input, Reading, Source};
use handbell_protocol::{Lane, Topic, TopicPattern};
use tokio::sync::Notify;

use super::{runner::Runner, translate};
use crate::tailing::SteadyTail;

/// How many readers a group has.
pub(super) const COUNT: usize = 4;

/// The most records of one reading.
const BATCH: usize = 256;

/// What one reader should read.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    readings: BTreeMap<Partition, (Reading, Begin)>,
    /// Grows with each change.
    generation: u64,
}

/// One source and lane.
struct Reader {
    runner: Arc<Runner>,
    source: Source,
    lane: Lane,
    generation: u64,
    readings: BTreeMap<Partition, Current>,
    tail: Option<SteadyTail>,
}

/// A reading that the tail serves.
#[derive(Clone, Copy, Debug)]
struct Current {
    reading: Reading,
    level: bool,
}

const ALL: [(Source, Lane); COUNT] = [
    (Source::Topic, Lane::Express),
    (Source::Topic, Lane::Regular),
    (Source::Retry, Lane::Express),
    (Source::Retry, Lane::Regular),
];

pub(super) fn index(source: Source, lane: Lane) -> usize {
    let topic = usize::from(source == Source::Retry) * 2;
    topic + usize::from(lane == Lane::Regular)
}

pub(super) fn spawn_all(runner: &Arc<Runner>) {
    for (source, lane) in ALL {
        let reader =
            Reader { runner: Arc::clone(runner), source, lane, generation: 0, readings: BTreeMap::new(), tail: None };
        runner.spawn(reader.run());
    }
}

pub(super) fn wake_topics(readers: &[Notify; COUNT]) {
    Lane::ALL.into_iter().for_each(|lane| readers[index(Source::Topic, lane)].notify_one());
}

// === impl Wanted ===

impl Wanted {
    pub(super) fn open(&mut self, reading: Reading, begin: Begin) {
        self.readings.insert(reading.partition, (reading, begin));
        self.generation += 1;
    }

    pub(super) fn close(&mut self, reading: Reading) {
        if self.readings.get(&reading.partition).is_some_and(|(open, _)| *open == reading) {
            self.readings.remove(&reading.partition);
            self.generation += 1;
        }
    }
}

// === impl Reader ===

impl Reader {
    async fn run(mut self) {
        let runner = Arc::clone(&self.runner);
        let wake = &runner.readers[index(self.source, self.lane)];
        loop {
            self.follow();
            let room = self.room();
            match &mut self.tail {
                Some(tail) if room > 0 => tokio::select! {
                    item = tail.next(room) => self.take(item),
                    () = wake.notified() => {}
                },
                _ => wake.notified().await,
            }
        }
    }

    /// Opens the tail anew where other readings are wanted; those that stay
    /// go on where they were.
    fn follow(&mut self) {
        let wanted: BTreeMap<Partition, (Reading, Begin)> = {
            let state = self.runner.state();
            let wanted = &state.wanted[index(self.source, self.lane)];
            if wanted.generation == self.generation {
                return;
            }
            self.generation = wanted.generation;
            wanted.readings.clone()
        };
        let before = self.tail.take();
        let mut partitions = BTreeMap::new();
        let mut readings = BTreeMap::new();
        for (partition, (reading, begin)) in wanted {
            let current = self.readings.get(&partition).filter(|current| current.reading == reading);
            let start = before.as_ref().filter(|_| current.is_some()).and_then(|tail| tail.start(partition));
            partitions.insert(partition, start.unwrap_or_else(|| self.begin(reading, begin)));
            readings.insert(partition, current.copied().unwrap_or(Current { reading, level: false }));
        }
        self.readings = readings;
        self.tail = (!partitions.is_empty()).then(|| {
            let spec = TailSpec { class: self.class(), lane: self.lane, topics: self.topics(), partitions };
            SteadyTail::later(Arc::clone(&self.runner.around.backend), spec)
        });
    }

    fn begin(&self, reading: Reading, begin: Begin) -> Start {
        let start = || match self.source {
            Source::Topic => self.runner.stored.starts.of(self.lane, reading.partition),
            Source::Retry => Start::Oldest,
        };
        match begin {
            Begin::Start => start(),
            Begin::After(positions) => translate::after(positions).unwrap_or_else(start),
        }
    }

    fn class(&self) -> Class {
        match self.source {
            Source::Topic => Class::Ev,
            Source::Retry => Class::Retry,
        }
    }

    fn topics(&self) -> Vec<TopicPattern> {
        match self.source {
            Source::Topic => self.runner.stored.topics.clone(),
            Source::Retry => {
                let topic = Topic::parse(self.runner.group.as_str()).expect("a group's name is a topic of one segment");
                vec![TopicPattern::from(&topic)]
            }
        }
    }

    /// How many records may be read now.
    fn room(&self) -> usize {
        if self.source == Source::Retry {
            return BATCH;
        }
        let mut state = self.runner.state();
        let room = state.machine.read_budget().min(BATCH);
        state.starved |= room == 0;
        room
    }

    fn take(&mut self, item: TailItem) {
        let inputs = match item {
            TailItem::Records(records) => self.records(records),
            TailItem::Level => self.level(),
            TailItem::Trimmed(trimmed) => {
                let current = self.readings.get(&trimmed.to.partition);
                current.map(|current| Input::Trimmed { reading: current.reading, trimmed }).into_iter().collect()
            }
        };
        self.runner.tell_all(inputs);
    }

    fn records(&self, records: Vec<Arc<Record>>) -> Vec<Input> {
        let mut by_partition: BTreeMap<Partition, Vec<Arc<Record>>> = BTreeMap::new();
        for record in records {
            by_partition.entry(record.position.partition).or_default().push(record);
        }
        let read = |(partition, records)| {
            let reading = self.readings.get(&partition)?.reading;
            Some(Input::Read { reading, records })
        };
        by_partition.into_iter().filter_map(read).collect()
    }

    /// What a tail had not reached when it was opened anew is level with the next one.
    fn level(&mut self) -> Vec<Input> {
        let readings = self.readings.values_mut();
        let news = readings.filter_map(|current| {
            let news = !std::mem::replace(&mut current.level, true);
            news.then_some(Input::Level { reading: current.reading })
        });
        news.collect()
    }
}
