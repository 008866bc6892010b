//! Retention: one slice of it, at most a few hundred records of one channel,
//! so that nobody waits long.

use std::{collections::BTreeMap, sync::Arc};

use handbell_backend::BackendError;
use handbell_protocol::Timestamp;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::{Answer, Context, Job, Landing, counts};
use crate::{
    engine::Engine,
    error::WriteFailure,
    stream::{self, Stream, StreamKey},
};

/// How many records one slice removes at most.
const SLICE: i64 = 500;

const OLDEST: &str = "SELECT offset, partition, time, length(head) + length(payload) + coalesce(length(headers), 0)
    FROM log WHERE channel = ?1 ORDER BY offset LIMIT ?2";

/// Removes one slice of what may be removed at `now`; answers how many records
/// that were.
pub(crate) struct Trim {
    now: Timestamp,
    cut: Option<Cut>,
    answer: Answer<u64>,
}

/// What was removed of one channel.
struct Cut {
    stream: Arc<Stream>,
    slot: usize,
    records: u64,
    bytes: u64,
    by_partition: BTreeMap<u16, stream::Trim>,
}

/// A channel of which something may be removed.
struct Due {
    stream: Arc<Stream>,
    slot: usize,
    id: i64,
    /// Records stored before this instant.
    before: Option<Timestamp>,
    /// So many bytes of the oldest.
    surplus: u64,
}

impl Trim {
    pub(crate) fn new(now: Timestamp) -> (Box<Self>, oneshot::Receiver<Result<u64, BackendError>>) {
        let (to, answered) = oneshot::channel();
        (Box::new(Self { now, cut: None, answer: Answer::new("apply the retention", to) }), answered)
    }
}

/// What a trim that is done has answered.
pub(super) fn answer_of(
    mut answered: oneshot::Receiver<Result<u64, BackendError>>,
) -> Option<Result<u64, BackendError>> {
    answered.try_recv().ok()
}

impl Job for Trim {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        let Some(due) = find(context.conn, context.engine, self.now)? else { return Ok(()) };
        counts::save(context)?;
        self.cut = Some(due.cut(context.conn)?);
        Ok(())
    }

    /// It counts on what is committed.
    fn alone(&self) -> bool {
        true
    }

    fn undo(&mut self) {
        self.cut = None;
    }

    fn land(&mut self, landing: &mut Landing<'_>) {
        let Some(cut) = &self.cut else { return };
        counts::saved(landing.engine);
        landing.wrote(usize::try_from(cut.bytes).unwrap_or(usize::MAX));
        let mut state = cut.stream.lock();
        state.forget_up_to(cut.by_partition.values().map(|trim| trim.upto).max().unwrap_or(0));
        let slot = &mut state.slots[cut.slot];
        slot.removed(cut.records, cut.bytes);
        slot.trims.extend(&cut.by_partition);
    }

    fn answer(self: Box<Self>) {
        self.answer.ok(self.cut.map_or(0, |cut| cut.records));
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        self.answer.fail(failure);
    }
}

impl Due {
    fn cut(self, conn: &Connection) -> rusqlite::Result<Cut> {
        let mut cut = Cut { stream: self.stream, slot: self.slot, records: 0, bytes: 0, by_partition: BTreeMap::new() };
        let mut oldest = conn.prepare_cached(OLDEST)?;
        let mut rows = oldest.query((self.id, SLICE))?;
        let mut offsets = Vec::new();
        while let Some(row) = rows.next()? {
            let time = Timestamp::from_millis(row.get(2)?);
            if self.before.is_none_or(|before| time >= before) && cut.bytes >= self.surplus {
                break;
            }
            let offset: i64 = row.get(0)?;
            offsets.push(offset);
            cut.records += 1;
            cut.bytes += row.get::<_, i64>(3)?.cast_unsigned();
            cut.by_partition.insert(row.get(1)?, stream::Trim { upto: offset.cast_unsigned(), time });
        }
        let mut delete = conn.prepare_cached("DELETE FROM log WHERE offset = ?1")?;
        for offset in offsets {
            delete.execute([offset])?;
        }
        cut.note(conn, self.id)?;
        Ok(cut)
    }
}

impl Cut {
    fn note(&self, conn: &Connection, id: i64) -> rusqlite::Result<()> {
        conn.prepare_cached(
            "UPDATE channels SET records = max(0, records - ?2), bytes = max(0, bytes - ?3) WHERE id = ?1",
        )?
        .execute((id, self.records.cast_signed(), self.bytes.cast_signed()))?;
        let mut statement = conn
            .prepare_cached("INSERT OR REPLACE INTO trims (channel, partition, upto, time) VALUES (?1, ?2, ?3, ?4)")?;
        for (partition, trim) in &self.by_partition {
            statement.execute((id, partition, trim.upto.cast_signed(), trim.time.as_millis()))?;
        }
        Ok(())
    }
}

/// The first channel of which something may be removed.
fn find(conn: &Connection, engine: &Engine, now: Timestamp) -> rusqlite::Result<Option<Due>> {
    for stream in engine.all_streams() {
        let slots = stream.lock().slots.len();
        for slot in 0..slots {
            if let Some(due) = look(conn, engine, &stream, slot, now)? {
                return Ok(Some(due));
            }
        }
    }
    Ok(None)
}

fn look(
    conn: &Connection,
    engine: &Engine,
    stream: &Arc<Stream>,
    slot: usize,
    now: Timestamp,
) -> rusqlite::Result<Option<Due>> {
    let (id, topic, records, bytes) = {
        let state = stream.lock();
        let slot = &state.slots[slot];
        (slot.id, slot.topic.clone(), slot.records, slot.bytes)
    };
    let (age, limit) = engine.options.limits(stream.key.class, &topic);
    if records == 0 || (age.is_none() && limit.is_none()) {
        return Ok(None);
    }
    let Some(oldest) = oldest(conn, stream, slot, id)? else { return Ok(None) };
    let before = age.map(|age| now.before(age));
    let other = other_lane(engine, &stream.key, &topic);
    let surplus = limit.map_or(0, |limit| (bytes + other.bytes).saturating_sub(limit));
    // Of two lanes the one with the older record gives way first.
    let first = other.oldest.is_none_or(|other| oldest <= other);
    let surplus = if first { surplus } else { 0 };
    let due = surplus > 0 || before.is_some_and(|before| oldest < before);
    Ok(due.then(|| Due { stream: Arc::clone(stream), slot, id, before, surplus }))
}

/// When the channel's oldest record was stored; looked up once.
fn oldest(conn: &Connection, stream: &Stream, slot: usize, id: i64) -> rusqlite::Result<Option<Timestamp>> {
    if let Some(known) = stream.lock().slots[slot].oldest {
        return Ok(Some(known));
    }
    let found = oldest_of(conn, id)?;
    stream.lock().slots[slot].oldest = found;
    Ok(found)
}

/// When the oldest record of channel `id` was stored.
pub(crate) fn oldest_of(conn: &Connection, id: i64) -> rusqlite::Result<Option<Timestamp>> {
    conn.prepare_cached("SELECT time FROM log WHERE channel = ?1 ORDER BY offset LIMIT 1")?
        .query_row([id], |row| row.get(0))
        .optional()
        .map(|time| time.map(Timestamp::from_millis))
}

#[derive(Default)]
struct Other {
    bytes: u64,
    oldest: Option<Timestamp>,
}

fn other_lane(engine: &Engine, key: &StreamKey, topic: &handbell_protocol::Topic) -> Other {
    let lanes = handbell_protocol::Lane::ALL;
    let Some(lane) = lanes.into_iter().find(|lane| *lane != key.lane) else { return Other::default() };
    let stream = engine.stream(&StreamKey { lane, ..key.clone() });
    let state = stream.lock();
    let slot = state.slots.iter().find(|slot| slot.topic == *topic && slot.records > 0);
    slot.map_or_else(Other::default, |slot| Other { bytes: slot.bytes, oldest: slot.oldest })
}
