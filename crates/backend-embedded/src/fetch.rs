//! Single records by their positions, and how many lie before a reader.

use std::sync::Arc;

use handbell_backend::{BackendError, Position, Record, TailSpec};
use handbell_protocol::Namespace;
use rusqlite::Connection;

use crate::{
    engine::Engine,
    error::ReadFailure,
    reading::begins,
    scan::{OFFSETS, record_at},
    starts::Begin,
    stream::{Bell, StreamKey, Wanted},
};

/// The records at `positions`, as far as they are there.
pub(crate) async fn fetch(
    engine: &Arc<Engine>,
    namespace: &Namespace,
    positions: Vec<Position>,
) -> Result<Vec<Option<Arc<Record>>>, BackendError> {
    let (namespace, shared) = (namespace.clone(), Arc::clone(engine));
    let job = move |tx: &rusqlite::Transaction<'_>| {
        positions.iter().map(|position| one(tx, &shared, &namespace, position)).collect()
    };
    engine.readers.read("fetch records", job).await
}

fn one(
    conn: &Connection,
    engine: &Engine,
    namespace: &Namespace,
    position: &Position,
) -> Result<Option<Arc<Record>>, ReadFailure> {
    if position.incarnation != engine.incarnation || position.offset > engine.end() {
        return Ok(None);
    }
    let Some((channel, record)) = record_at(conn, engine, position.offset)? else { return Ok(None) };
    let ours = engine.channel(channel).is_some_and(|channel| channel.stream.key.namespace == *namespace);
    Ok((ours && record.position.comparable(position)).then(|| Arc::new(record)))
}

/// How many records a tail of `spec` would hand out before it is level.
pub(crate) async fn lag(engine: &Arc<Engine>, key: StreamKey, spec: &TailSpec) -> Result<u64, BackendError> {
    let end = engine.end();
    let begins = begins(engine, &key, spec).await?;
    let mut after = vec![None; usize::from(engine.options.partitions.get())];
    for (partition, Begin { after: begin, .. }) in begins {
        if let Some(after) = after.get_mut(usize::from(partition.0)) {
            *after = Some(begin);
        }
    }
    let Some(first) = after.iter().flatten().min().copied() else { return Ok(0) };
    let wanted = Wanted { topics: spec.topics.clone().into(), bell: Bell::One(Arc::default()) };
    let channels: Vec<i64> = {
        let stream = engine.stream(&key);
        let state = stream.lock();
        state.slots.iter().filter(|slot| slot.last > first && wanted.wants(&slot.topic)).map(|slot| slot.id).collect()
    };
    engine.readers.read("count the lag", move |tx| count(tx, &channels, &after, first, end)).await
}

fn count(conn: &Connection, channels: &[i64], after: &[Option<u64>], first: u64, end: u64) -> Result<u64, ReadFailure> {
    let mut statement = conn.prepare_cached(OFFSETS)?;
    let mut count = 0;
    for channel in channels {
        let mut rows = statement.query((channel, first.cast_signed(), end.cast_signed()))?;
        while let Some(row) = rows.next()? {
            let offset = row.get::<_, i64>(0)?.cast_unsigned();
            let begin = after.get(usize::from(row.get::<_, u16>(1)?)).copied().flatten();
            count += u64::from(begin.is_some_and(|begin| offset > begin));
        }
    }
    Ok(count)
}
