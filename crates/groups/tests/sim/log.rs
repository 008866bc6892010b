//! A modelled broker: logs, and cells under compare-and-set.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use handbell_backend::{
    CellVersion, Class, Headers, Incarnation, Outgoing, Partition, Position, Record, Stored, Trimmed,
};
use handbell_protocol::{Envelope, Lane, Timestamp, Topic};

/// One row of records: a class, a lane, a partition.
pub(crate) type Row = (Class, Lane, Partition);

#[derive(Default)]
pub(crate) struct Broker {
    rows: BTreeMap<Row, Log>,
    dedup: HashMap<(Class, String), Stored>,
    pub(crate) cells: BTreeMap<Partition, (Bytes, CellVersion)>,
}

pub(crate) struct Log {
    pub(crate) incarnation: Incarnation,
    pub(crate) records: BTreeMap<u64, Arc<Record>>,
    pub(crate) end: u64,
    /// The highest offset that retention has removed.
    pub(crate) trimmed: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { incarnation: Incarnation(1), records: BTreeMap::new(), end: 0, trimmed: 0 }
    }
}

impl Broker {
    pub(crate) fn log(&mut self, row: Row) -> &mut Log {
        self.rows.entry(row).or_default()
    }

    pub(crate) fn row(&self, row: Row) -> Option<&Log> {
        self.rows.get(&row)
    }

    pub(crate) fn append(
        &mut self,
        row: Row,
        now: u64,
        topic: Topic,
        envelope: Arc<Envelope>,
        headers: Headers,
    ) -> Position {
        let log = self.log(row);
        log.end += 1 + now % 3;
        let position = Position {
            log: "".into(),
            incarnation: log.incarnation,
            class: row.0,
            lane: row.1,
            partition: row.2,
            offset: log.end,
            time: Timestamp::from_millis(now as i64),
        };
        let record = Arc::new(Record { position: position.clone(), topic, envelope, headers });
        log.records.insert(log.end, record);
        position
    }

    pub(crate) fn publish(&mut self, now: u64, outgoing: Outgoing) -> Stored {
        let Outgoing { class, topic, partition, envelope, headers, dedup } = outgoing;
        let key = dedup.map(|dedup| (class, dedup.key));
        if let Some(first) = key.as_ref().and_then(|key| self.dedup.get(key)) {
            return Stored { duplicate: true, ..first.clone() };
        }
        let id = envelope.event.id.clone();
        let position = self.append((class, envelope.routing.lane(), partition), now, topic, envelope, headers);
        let stored = Stored { position, id, duplicate: false };
        if let Some(key) = key {
            self.dedup.insert(key, stored.clone());
        }
        stored
    }

    pub(crate) fn ends(&self, partition: Partition) -> Vec<Position> {
        let of_partition = self.rows.iter().filter(|((class, _, p), _)| *p == partition && *class != Class::Dlq);
        of_partition.map(|(row, log)| end(*row, log)).collect()
    }

    pub(crate) fn fetch(&self, position: &Position) -> Option<Arc<Record>> {
        let log = self.rows.get(&(position.class, position.lane, position.partition))?;
        log.records.get(&position.offset).filter(|_| log.incarnation == position.incarnation).cloned()
    }

    pub(crate) fn all(&self, class: Class) -> impl Iterator<Item = &Arc<Record>> {
        self.rows.iter().filter(move |((c, ..), _)| *c == class).flat_map(|(_, log)| log.records.values())
    }

    /// Retention removes everything up to an offset.
    pub(crate) fn trim(&mut self, row: Row, upto: u64) {
        let log = self.log(row);
        log.records.retain(|offset, _| *offset > upto);
        log.trimmed = log.trimmed.max(upto);
    }

    /// Whether retention removed something behind `after`.
    pub(crate) fn trimmed(&self, row: Row, after: u64) -> Option<Trimmed> {
        let log = self.rows.get(&row).filter(|log| log.trimmed > after)?;
        let at = |offset| Position { offset, ..end(row, log) };
        Some(Trimmed { from: at(after + 1), to: at(log.trimmed + 1), count: None })
    }
}

fn end(row: Row, log: &Log) -> Position {
    Position {
        log: "".into(),
        incarnation: log.incarnation,
        class: row.0,
        lane: row.1,
        partition: row.2,
        offset: log.end,
        time: log.records.values().next_back().map_or_else(Timestamp::default, |record| record.position.time),
    }
}
