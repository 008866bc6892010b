//! Reading a tail's records from the database, one batch on one snapshot.
//!
//! First the offsets, from the index alone, then the rows. With few channels
//! their offsets are read from each and merged; with many, the log is passed
//! through in order. Either way a batch has a bound on how much it looks at.

use std::{collections::HashMap, sync::Arc};

use handbell_backend::{Class, Partition, Record};
use handbell_protocol::{Lane, Timestamp, Topic};
use rusqlite::{Connection, Row};

use crate::{codec::decode, engine::Engine, error::ReadFailure, stream::Trim};

/// The offsets of one channel in a range, with their partitions.
pub(crate) const OFFSETS: &str =
    "SELECT offset, partition FROM log WHERE channel = ?1 AND offset > ?2 AND offset <= ?3 ORDER BY offset";
const ALL_OFFSETS: &str =
    "SELECT offset, partition, channel FROM log WHERE offset > ?1 AND offset <= ?2 ORDER BY offset";
const ROW: &str = "SELECT time, partition, head, headers, payload, channel FROM log WHERE offset = ?1";
const TRIMS: &str = "SELECT partition, upto, time FROM trims WHERE channel = ?1 AND upto > ?2";

/// Up to how many channels the index is merged; with more, the log is passed through.
const MERGED: usize = 32;
/// How many entries a batch looks at, at most, in each channel or in the log.
const LOOKED_AT: usize = 20_000;
/// How many bytes a batch has at most; one record always fits.
const BATCH_BYTES: usize = 1_024 * 1_024;

/// What to read.
pub(crate) struct Plan {
    pub(crate) engine: Arc<Engine>,
    pub(crate) class: Class,
    pub(crate) lane: Lane,
    /// The channels: their numbers and topics.
    pub(crate) channels: Vec<(i64, Topic)>,
    /// By partition: behind which offset it is read, if at all.
    pub(crate) partitions: Arc<[Option<u64>]>,
    /// The range, without its begin and with its end.
    pub(crate) after: u64,
    pub(crate) upto: u64,
    pub(crate) max: usize,
}

/// What was read.
pub(crate) struct Batch {
    pub(crate) records: Vec<Arc<Record>>,
    /// What retention has removed in these channels behind `Plan::after`.
    pub(crate) trims: Vec<(i64, u16, Trim)>,
    /// The offset up to which this is all.
    pub(crate) upto: u64,
}

impl Plan {
    /// Reads one batch.
    pub(crate) fn run(&self, conn: &Connection) -> Result<Batch, ReadFailure> {
        let (mut offsets, mut upto) = self.offsets(conn)?;
        if offsets.len() > self.max {
            offsets.truncate(self.max);
            upto = offsets.last().map_or(upto, |(offset, _)| *offset);
        }
        let (mut records, mut bytes) = (Vec::with_capacity(offsets.len()), 0);
        for (offset, channel) in offsets {
            let (record, size) = self.row(conn, offset, channel)?;
            bytes += size;
            if bytes > BATCH_BYTES && !records.is_empty() {
                upto = offset - 1;
                break;
            }
            records.push(Arc::new(record));
        }
        Ok(Batch { records, trims: self.trims(conn)?, upto })
    }

    /// Offsets with the index of their channel, and up to where they are all.
    fn offsets(&self, conn: &Connection) -> Result<(Vec<(u64, usize)>, u64), ReadFailure> {
        if self.channels.len() > MERGED {
            return self.pass(conn);
        }
        let (mut found, mut upto) = (Vec::new(), self.upto);
        for index in 0..self.channels.len() {
            upto = upto.min(self.channel(conn, index, &mut found)?);
        }
        found.retain(|(offset, _)| *offset <= upto);
        found.sort_unstable();
        Ok((found, upto))
    }

    fn channel(&self, conn: &Connection, index: usize, found: &mut Vec<(u64, usize)>) -> Result<u64, ReadFailure> {
        let mut statement = conn.prepare_cached(OFFSETS)?;
        let range = (self.channels[index].0, self.after.cast_signed(), self.upto.cast_signed());
        let mut rows = statement.query(range)?;
        let (mut looked_at, mut mine, mut last) = (0, 0, self.after);
        while let Some(row) = rows.next()? {
            let offset = offset_of(row)?;
            if self.reads(row.get(1)?, offset) {
                found.push((offset, index));
                mine += 1;
            }
            looked_at += 1;
            last = offset;
            if mine >= self.max || looked_at >= LOOKED_AT {
                return Ok(last);
            }
        }
        Ok(self.upto.max(last))
    }

    fn pass(&self, conn: &Connection) -> Result<(Vec<(u64, usize)>, u64), ReadFailure> {
        let index: HashMap<i64, usize> = self.channels.iter().enumerate().map(|(i, (id, _))| (*id, i)).collect();
        let mut statement = conn.prepare_cached(ALL_OFFSETS)?;
        let mut rows = statement.query((self.after.cast_signed(), self.upto.cast_signed()))?;
        let (mut found, mut looked_at) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let offset = offset_of(row)?;
            if let Some(channel) = index.get(&row.get(2)?)
                && self.reads(row.get(1)?, offset)
            {
                found.push((offset, *channel));
            }
            looked_at += 1;
            if found.len() >= self.max || looked_at >= LOOKED_AT {
                return Ok((found, offset));
            }
        }
        Ok((found, self.upto))
    }

    fn reads(&self, partition: u16, offset: u64) -> bool {
        self.partitions.get(usize::from(partition)).copied().flatten().is_some_and(|after| offset > after)
    }

    fn row(&self, conn: &Connection, offset: u64, channel: usize) -> Result<(Record, usize), ReadFailure> {
        let topic = &self.channels[channel].1;
        let mut statement = conn.prepare_cached(ROW)?;
        let mut rows = statement.query([offset.cast_signed()])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        record(&self.engine, self.class, self.lane, topic.clone(), offset, row)
    }

    fn trims(&self, conn: &Connection) -> Result<Vec<(i64, u16, Trim)>, ReadFailure> {
        let mut statement = conn.prepare_cached(TRIMS)?;
        let mut trims = Vec::new();
        for (id, _) in &self.channels {
            let rows = statement.query_map((id, self.after.cast_signed()), |row| {
                Ok((*id, row.get(0)?, Trim { upto: row.get::<_, i64>(1)?.cast_unsigned(), time: time_of(row, 2)? }))
            })?;
            for trim in rows {
                trims.push(trim?);
            }
        }
        Ok(trims)
    }
}

/// The record of a row of [`row_of`], and its bytes.
fn record(
    engine: &Engine,
    class: Class,
    lane: Lane,
    topic: Topic,
    offset: u64,
    row: &Row<'_>,
) -> Result<(Record, usize), ReadFailure> {
    let position = engine.position(class, lane, Partition(row.get(1)?), offset, time_of(row, 0)?);
    let blob = |index| row.get_ref(index)?.as_blob().map_err(rusqlite::Error::from);
    let (head, payload) = (blob(2)?, blob(4)?);
    let headers = row.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    let bytes = head.len() + payload.len() + headers.map_or(0, <[u8]>::len);
    Ok((decode(position, topic, head, payload, headers)?, bytes))
}

/// The record at `offset` with the number of its channel, if it is there and
/// its channel is known.
pub(crate) fn record_at(conn: &Connection, engine: &Engine, offset: u64) -> Result<Option<(i64, Record)>, ReadFailure> {
    let mut statement = conn.prepare_cached(ROW)?;
    let mut rows = statement.query([offset.cast_signed()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let id = row.get(5)?;
    let Some(channel) = engine.channel(id) else { return Ok(None) };
    let key = &channel.stream.key;
    let (record, _) = record(engine, key.class, key.lane, channel.topic, offset, row)?;
    Ok(Some((id, record)))
}

fn offset_of(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, i64>(0).map(i64::cast_unsigned)
}

fn time_of(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp::from_millis)
}
