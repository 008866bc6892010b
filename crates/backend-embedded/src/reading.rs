//! A place in a stream that moves forward: what tails and queues read with.
//!
//! It takes records from memory while it is level, and from the database in
//! batches while it isn't. Each record comes once; what retention has removed
//! before it was read comes as a gap, in its place.

mod parts;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use handbell_backend::{BackendError, Partition, Position, Record, TailSpec, Trimmed};
use handbell_protocol::Timestamp;

use self::parts::Parts;
use crate::{
    engine::Engine,
    scan::{Batch, Plan},
    starts::{self, Begin, Place},
    stream::{Bell, Listener, Look, Stream, StreamKey, Trim, Wanted},
};

/// How many records one batch from the database has at most.
const BATCH: usize = 512;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Got {
    /// At least one record.
    Records(Vec<Arc<Record>>),
    /// Something is missing.
    Gap(Trimmed),
}

/// A place in a stream.
pub(crate) struct Reading {
    engine: Arc<Engine>,
    stream: Arc<Stream>,
    _listener: Listener,
    wanted: Wanted,
    /// The slots that are read, among the first `slots_known`.
    mine: Vec<usize>,
    slots_known: usize,
    parts: Parts,
    /// What had been removed already when an `Oldest` reading was opened.
    known: HashMap<(i64, u16), u64>,
    /// All up to here is handed out or in `waiting`.
    cursor: u64,
    waiting: VecDeque<Next>,
}

#[derive(Debug)]
enum Next {
    Record(Arc<Record>),
    Gap(Trimmed),
}

impl Reading {
    /// Opens a place; `bell` is rung when there may be more.
    pub(crate) async fn open(
        engine: &Arc<Engine>,
        key: StreamKey,
        spec: &TailSpec,
        bell: Bell,
    ) -> Result<Self, BackendError> {
        let stream = engine.stream(&key);
        let wanted = Wanted { topics: spec.topics.clone().into(), bell };
        let listener = Listener::join(&stream, &wanted);
        let begins = begins(engine, &key, spec).await?;
        let parts = Parts::new(engine.options.partitions, begins);
        let cursor = parts.afters().flatten().min().unwrap_or(engine.end());
        let mut reading = Self {
            engine: Arc::clone(engine),
            stream,
            _listener: listener,
            wanted,
            mine: Vec::new(),
            slots_known: 0,
            parts,
            known: HashMap::new(),
            cursor,
            waiting: VecDeque::new(),
        };
        reading.note_trims();
        Ok(reading)
    }

    /// What comes next up to the offset `upto`, at most `max` records, or
    /// `None` when that is all. Doesn't wait for new records. Cancel-safe.
    pub(crate) async fn next(&mut self, upto: u64, max: usize) -> Result<Option<Got>, BackendError> {
        loop {
            if let Some(got) = self.take_waiting(max) {
                return Ok(Some(got));
            }
            if self.cursor >= upto {
                return Ok(None);
            }
            match self.look(upto, max) {
                Look::Records(records, upto) => {
                    self.cursor = upto;
                    if !records.is_empty() {
                        self.account(&records);
                        return Ok(Some(Got::Records(records)));
                    }
                }
                Look::Behind(slots) => {
                    let plan = self.plan(&slots, upto);
                    let batch = self.engine.readers.read("read records", move |tx| plan.run(tx)).await?;
                    self.absorb(batch, upto);
                }
            }
        }
    }

    /// All up to here has been handed out, unless some of it still waits.
    pub(crate) fn cursor(&self) -> u64 {
        match self.waiting.front() {
            Some(Next::Record(record)) => record.position.offset - 1,
            Some(Next::Gap(gap)) => gap.from.offset - 1,
            None => self.cursor,
        }
    }

    fn take_waiting(&mut self, max: usize) -> Option<Got> {
        if let Some(Next::Gap(_)) = self.waiting.front() {
            let Some(Next::Gap(gap)) = self.waiting.pop_front() else { return None };
            return Some(Got::Gap(gap));
        }
        let mut records = Vec::new();
        while records.len() < max {
            match self.waiting.pop_front() {
                Some(Next::Record(record)) => records.push(record),
                Some(gap) => {
                    self.waiting.push_front(gap);
                    break;
                }
                None => break,
            }
        }
        (!records.is_empty()).then_some(Got::Records(records))
    }

    fn look(&mut self, upto: u64, max: usize) -> Look {
        let state = self.stream.lock();
        for (index, slot) in state.slots.iter().enumerate().skip(self.slots_known) {
            if self.wanted.wants(&slot.topic) {
                self.mine.push(index);
            }
        }
        self.slots_known = state.slots.len();
        let parts = &self.parts;
        state.look(&self.mine, self.cursor, upto, max, |record| {
            parts.begin(record.position.partition).is_some_and(|begin| record.position.offset > begin.after)
        })
    }

    fn plan(&self, slots: &[usize], upto: u64) -> Plan {
        let state = self.stream.lock();
        Plan {
            engine: Arc::clone(&self.engine),
            class: self.stream.key.class,
            lane: self.stream.key.lane,
            channels: slots.iter().map(|slot| (state.slots[*slot].id, state.slots[*slot].topic.clone())).collect(),
            partitions: self.parts.afters().collect(),
            after: self.cursor,
            upto,
            max: BATCH,
        }
    }

    fn account(&mut self, records: &[Arc<Record>]) {
        for record in records {
            self.parts.account(record.position.partition, record.position.offset);
        }
    }

    /// Takes over a batch from the database, with the gaps before its records.
    fn absorb(&mut self, batch: Batch, upto: u64) {
        for record in batch.records {
            let partition = record.position.partition;
            if self.misses(partition, record.position.offset, &batch.trims) {
                self.tell_gap(partition, record.position.clone());
            }
            self.account(std::slice::from_ref(&record));
            self.waiting.push_back(Next::Record(record));
        }
        self.cursor = batch.upto;
        if batch.upto >= upto {
            self.tell_gaps_at_end(&batch.trims, upto);
        }
    }

    fn tell_gaps_at_end(&mut self, trims: &[(i64, u16, Trim)], upto: u64) {
        let time = self.engine.end_time();
        for partition in self.parts.all() {
            if self.misses(partition, upto + 1, trims) {
                let to = self.position(partition, upto + 1, time);
                self.tell_gap(partition, to);
            }
        }
    }

    /// Whether something may have been removed in the partition before `offset`
    /// that was neither read nor told. What is known of each channel is only how
    /// far it was removed: where a reading has channels of differing retention,
    /// a gap may be told a record too early, never too late.
    fn misses(&self, partition: Partition, offset: u64, trims: &[(i64, u16, Trim)]) -> bool {
        let (Some(begin), Some(seen)) = (self.parts.begin(partition), self.parts.seen(partition)) else { return false };
        if seen + 1 >= offset {
            return false;
        }
        trims.iter().any(|(channel, of, trim)| {
            *of == partition.0
                && trim.upto > seen
                && trim.upto > self.known.get(&(*channel, *of)).copied().unwrap_or(0)
                && begin.not_before.is_none_or(|instant| trim.time >= instant)
        })
    }

    fn tell_gap(&mut self, partition: Partition, to: Position) {
        let Some(seen) = self.parts.seen(partition) else { return };
        self.parts.account(partition, to.offset - 1);
        let from = self.position(partition, seen + 1, to.time);
        self.waiting.push_back(Next::Gap(Trimmed { from, to, count: None }));
    }

    fn position(&self, partition: Partition, offset: u64, time: Timestamp) -> Position {
        let key = &self.stream.key;
        self.engine.position(key.class, key.lane, partition, offset, time)
    }

    fn note_trims(&mut self) {
        let state = self.stream.lock();
        for slot in &state.slots {
            for (partition, trim) in &slot.trims {
                if self.parts.begin(Partition(*partition)).is_some_and(|begin| begin.oldest) {
                    self.known.insert((slot.id, *partition), trim.upto);
                }
            }
        }
    }
}

/// Where a spec's partitions begin; asks the database only where it must.
pub(crate) async fn begins(
    engine: &Arc<Engine>,
    key: &StreamKey,
    spec: &TailSpec,
) -> Result<Vec<(Partition, Begin)>, BackendError> {
    let place = Place { incarnation: engine.incarnation, class: key.class, lane: key.lane, end: engine.end() };
    let mut begins = Vec::with_capacity(spec.partitions.len());
    for (partition, start) in &spec.partitions {
        match place.resolve(*partition, start) {
            starts::Resolved::Begin(begin) => begins.push((*partition, begin)),
            starts::Resolved::Since(_) => {
                let partitions = spec.partitions.clone();
                return engine
                    .readers
                    .read("find where to begin", move |tx| starts::look_up(tx, &place, &partitions))
                    .await;
            }
        }
    }
    Ok(begins)
}
