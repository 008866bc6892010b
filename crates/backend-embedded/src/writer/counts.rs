//! Counts and ends: stored now and then, and repaired when the log is opened.

use std::sync::Arc;

use handbell_backend::{Channel, Class};
use handbell_protocol::{Lane, Namespace, Timestamp, Topic};
use rusqlite::{Connection, Row};

use super::{Book, Context, Job, Landing, landing::register};
use crate::{
    engine::Engine,
    error::WriteFailure,
    schema::{meta, set_meta},
    stream::{Stream, StreamKey, Trim},
};

/// Stores what has changed since it was stored last.
pub(crate) struct SaveCounts;

impl Job for SaveCounts {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        save(context)
    }

    fn land(&mut self, landing: &mut Landing<'_>) {
        saved(landing.engine);
    }

    fn answer(self: Box<Self>) {}

    fn fail(self: Box<Self>, _failure: &WriteFailure) {}
}

/// Stores counts and ends as of the engine's end. Nothing may have been
/// inserted in this transaction before.
pub(super) fn save(context: &Context<'_>) -> rusqlite::Result<()> {
    let conn = context.conn;
    let mut channel =
        conn.prepare_cached("UPDATE channels SET records = ?2, bytes = ?3, last = ?4, last_time = ?5 WHERE id = ?1")?;
    for stream in context.engine.all_streams() {
        let state = stream.lock();
        for slot in state.slots.iter().filter(|slot| slot.dirty) {
            channel.execute((
                slot.id,
                slot.records.cast_signed(),
                slot.bytes.cast_signed(),
                slot.last.cast_signed(),
                slot.last_time.as_millis(),
            ))?;
        }
        if state.ends_dirty {
            save_ends(conn, &stream.key, &state.ends)?;
        }
    }
    set_meta(conn, "counted", context.engine.end().cast_signed())
}

fn save_ends(conn: &Connection, key: &StreamKey, ends: &[(u64, Timestamp)]) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT OR REPLACE INTO ends (namespace, class, lane, partition, offset, time) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (partition, (offset, time)) in (0_u16..).zip(ends).filter(|(_, (offset, _))| *offset > 0) {
        statement.execute((
            key.namespace.as_str(),
            key.class.as_str(),
            key.lane.as_str(),
            partition,
            offset.cast_signed(),
            time.as_millis(),
        ))?;
    }
    Ok(())
}

/// Notes that everything is stored.
pub(super) fn saved(engine: &Engine) {
    for stream in engine.all_streams() {
        let mut state = stream.lock();
        state.ends_dirty = false;
        for slot in &mut state.slots {
            slot.dirty = false;
        }
    }
}

/// Reads channels, ends and trims of a log that was opened, counts what was
/// stored since they were, and tells the writer's book.
pub(crate) fn load(conn: &Connection, engine: &Arc<Engine>) -> rusqlite::Result<Book> {
    let mut channels = Vec::new();
    load_channels(conn, engine, &mut channels)?;
    load_ends(conn, engine)?;
    load_trims(conn, engine)?;
    count_on(conn, engine)?;
    let end = conn
        .query_row("SELECT coalesce(max(offset), 0) FROM log", [], |row| row.get::<_, i64>(0))?
        .max(meta(conn, "counted")?)
        .cast_unsigned();
    let mut time = Timestamp::default();
    for stream in engine.all_streams() {
        let mut state = stream.lock();
        time = state.ends.iter().map(|(_, time)| *time).fold(time, Timestamp::max);
        for slot in &mut state.slots {
            slot.floor = end;
        }
    }
    engine.set_end(end, time);
    let mut book = Book::new(end, time);
    for (namespace, channel, id) in channels {
        book.know(namespace, channel, id);
    }
    Ok(book)
}

type Known = (Namespace, Channel, i64);

fn load_channels(conn: &Connection, engine: &Arc<Engine>, known: &mut Vec<Known>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT namespace, class, lane, topic, id, records, bytes, last, last_time FROM channels ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = stream_key(row)?;
        let topic: Topic = parsed(row, 3)?;
        let channel = Channel { class: key.class, lane: key.lane, topic };
        let id = row.get(4)?;
        let info = register(engine, key.namespace.clone(), channel.clone(), id);
        let slot = &mut info.stream.lock().slots[info.slot];
        slot.records = row.get::<_, i64>(5)?.cast_unsigned();
        slot.bytes = row.get::<_, i64>(6)?.cast_unsigned();
        slot.last = row.get::<_, i64>(7)?.cast_unsigned();
        slot.last_time = Timestamp::from_millis(row.get(8)?);
        known.push((key.namespace, channel, id));
    }
    Ok(())
}

fn load_ends(conn: &Connection, engine: &Engine) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("SELECT namespace, class, lane, partition, offset, time FROM ends")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stream = engine.stream(&stream_key(row)?);
        let end = (row.get::<_, i64>(4)?.cast_unsigned(), Timestamp::from_millis(row.get(5)?));
        set_end(&stream, row.get(3)?, end);
    }
    Ok(())
}

fn load_trims(conn: &Connection, engine: &Engine) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("SELECT channel, partition, upto, time FROM trims")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(info) = engine.channel(row.get(0)?) else { continue };
        let trim = Trim { upto: row.get::<_, i64>(2)?.cast_unsigned(), time: Timestamp::from_millis(row.get(3)?) };
        info.stream.lock().slots[info.slot].trims.insert(row.get(1)?, trim);
    }
    Ok(())
}

fn count_on(conn: &Connection, engine: &Engine) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT offset, channel, partition, time, length(head) + length(payload) + coalesce(length(headers), 0)
        FROM log WHERE offset > ?1 ORDER BY offset",
    )?;
    let mut rows = statement.query([meta(conn, "counted")?])?;
    while let Some(row) = rows.next()? {
        let Some(info) = engine.channel(row.get(1)?) else { continue };
        let offset = row.get::<_, i64>(0)?.cast_unsigned();
        let time = Timestamp::from_millis(row.get(3)?);
        set_end(&info.stream, row.get(2)?, (offset, time));
        let bytes = row.get::<_, i64>(4)?.cast_unsigned();
        info.stream.lock().slots[info.slot].stored(offset, time, bytes);
    }
    Ok(())
}

fn set_end(stream: &Stream, partition: u16, end: (u64, Timestamp)) {
    let mut state = stream.lock();
    state.ends_dirty = true;
    if let Some(known) = state.ends.get_mut(usize::from(partition)) {
        *known = end;
    }
}

fn stream_key(row: &Row<'_>) -> rusqlite::Result<StreamKey> {
    let class: String = row.get(1)?;
    let lane: String = row.get(2)?;
    Ok(StreamKey {
        namespace: parsed(row, 0)?,
        class: Class::ALL.into_iter().find(|known| known.as_str() == class).ok_or_else(|| unreadable(1))?,
        lane: Lane::ALL.into_iter().find(|known| known.as_str() == lane).ok_or_else(|| unreadable(2))?,
    })
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    row.get::<_, String>(index)?.parse().map_err(|_| unreadable(index))
}

fn unreadable(index: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(index, "a name".into(), rusqlite::types::Type::Text)
}
