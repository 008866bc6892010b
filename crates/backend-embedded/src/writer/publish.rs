//! Storing a batch of records.

use std::sync::Arc;

use handbell_backend::{Partition, PublishError, Record, Stored};
use handbell_protocol::{Lane, Namespace, Timestamp};
use rusqlite::{Connection, Row, Statement};
use tokio::sync::oneshot;

use super::{Context, Job, Landing};
use crate::{
    codec::{Encoded, id_of},
    dedup::DedupKey,
    engine::Engine,
    error::WriteFailure,
};

const INSERT: &str = "INSERT INTO log (offset, channel, partition, time, digest, dedup, headers, head, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (dedup) WHERE dedup IS NOT NULL DO NOTHING";
const FIRST: &str = "SELECT log.offset, log.time, log.digest, log.head, log.partition, channels.lane
    FROM log JOIN channels ON channels.id = log.channel WHERE log.dedup = ?1";

/// A batch on its way.
pub(crate) struct Publish {
    namespace: Namespace,
    records: Vec<Result<Encoded, PublishError>>,
    outcomes: Vec<Outcome>,
    answer: oneshot::Sender<Vec<Result<Stored, PublishError>>>,
}

/// What became of a record in the transaction.
enum Outcome {
    New { channel: i64, offset: u64, time: Timestamp },
    Known(Result<Stored, PublishError>),
}

impl Publish {
    pub(crate) fn new(
        namespace: Namespace,
        records: Vec<Result<Encoded, PublishError>>,
        answer: oneshot::Sender<Vec<Result<Stored, PublishError>>>,
    ) -> Self {
        Self { namespace, outcomes: Vec::with_capacity(records.len()), records, answer }
    }
}

impl Job for Publish {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        let mut insert = context.conn.prepare_cached(INSERT)?;
        for record in &self.records {
            self.outcomes.push(match record {
                Ok(record) => store(&mut insert, record, &self.namespace, context)?,
                Err(error) => Outcome::Known(Err(error.clone())),
            });
        }
        Ok(())
    }

    fn undo(&mut self) {
        self.outcomes.clear();
    }

    fn land(&mut self, landing: &mut Landing<'_>) {
        for (record, outcome) in self.records.iter_mut().zip(&mut self.outcomes) {
            if let (Ok(encoded), Outcome::New { channel, offset, time }) = (record, &*outcome) {
                let (record, bytes) = finished(encoded, landing.engine, *offset, *time);
                let position = record.position.clone();
                let id = record.envelope.event.id.clone();
                landing.record(*channel, Arc::new(record), bytes);
                *outcome = Outcome::Known(Ok(Stored { position, id, duplicate: false }));
            }
        }
    }

    fn answer(self: Box<Self>) {
        let receipts = self.outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Known(receipt) => receipt,
            Outcome::New { .. } => Err(PublishError::InDoubt("it was not shown to the readers".into())),
        });
        drop(self.answer.send(receipts.collect()));
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        let receipts = self.records.into_iter().map(|record| Err(record.err().unwrap_or_else(|| failure.publish())));
        drop(self.answer.send(receipts.collect()));
    }
}

fn store(
    insert: &mut Statement<'_>,
    record: &Encoded,
    namespace: &Namespace,
    context: &mut Context<'_>,
) -> rusqlite::Result<Outcome> {
    let channel = context.book.channel(context.conn, namespace, &record.channel)?;
    let time = context.book.time();
    let offset = context.book.next_offset();
    let inserted = insert.execute((
        offset.cast_signed(),
        channel,
        record.partition.0,
        time.as_millis(),
        record.digest.map(u64::cast_signed),
        record.dedup.as_ref().map(DedupKey::as_slice),
        record.header_text.as_deref(),
        record.head.as_slice(),
        record.envelope.payload.as_bytes(),
    ))?;
    if inserted == 0 {
        return first(context.conn, context.engine, record).map(Outcome::Known);
    }
    context.book.stored();
    Ok(Outcome::New { channel, offset, time })
}

/// The receipt of a record whose dedup key is stored already.
fn first(conn: &Connection, engine: &Engine, record: &Encoded) -> rusqlite::Result<Result<Stored, PublishError>> {
    let key = record.dedup.as_ref().map(DedupKey::as_slice);
    conn.prepare_cached(FIRST)?.query_row([key], |row| {
        let digest = row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned);
        if let (Some(stored), Some(sent)) = (digest, record.digest)
            && stored != sent
        {
            return Ok(Err(PublishError::Conflict));
        }
        let Ok(id) = id_of(row.get_ref(3)?.as_blob()?) else {
            return Ok(Err(PublishError::Refused("the first of its kind can't be read".into())));
        };
        Ok(Ok(Stored { position: position(engine, record, row)?, id, duplicate: true }))
    })
}

fn position(engine: &Engine, record: &Encoded, row: &Row<'_>) -> rusqlite::Result<handbell_backend::Position> {
    let lane: String = row.get(5)?;
    let lane = Lane::ALL.into_iter().find(|known| known.as_str() == lane).unwrap_or(record.channel.lane);
    let offset = row.get::<_, i64>(0)?.cast_unsigned();
    let time = Timestamp::from_millis(row.get(1)?);
    Ok(engine.position(record.channel.class, lane, Partition(row.get(4)?), offset, time))
}

fn finished(encoded: &mut Encoded, engine: &Engine, offset: u64, time: Timestamp) -> (Record, usize) {
    let channel = &encoded.channel;
    let position = engine.position(channel.class, channel.lane, encoded.partition, offset, time);
    let record = Record {
        position,
        topic: channel.topic.clone(),
        envelope: Arc::clone(&encoded.envelope),
        headers: std::mem::take(&mut encoded.headers),
    };
    (record, encoded.bytes())
}
