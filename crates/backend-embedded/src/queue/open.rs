//! Making or finding a queue.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use handbell_backend::{BackendError, Class, Fault, Position, QueueSpec, Start};
use handbell_protocol::{Lane, Namespace, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use tokio::sync::Notify;

use super::{
    QueueEnd, QueueShared,
    core::{Core, Item, later},
    feed::{Feed, Source},
};
use crate::{
    engine::Engine,
    error::WriteFailure,
    keeper::Keeper,
    starts::last_before,
    writer::{Answer, Context, Job},
};

/// Opens a consumer's end.
pub(crate) async fn open(
    keeper: &Arc<Keeper>,
    engine: &Arc<Engine>,
    namespace: &Namespace,
    spec: QueueSpec,
) -> Result<QueueEnd, BackendError> {
    let source = Source { namespace: namespace.clone(), class: spec.class, topics: spec.topics.clone() };
    let shared = match known(engine, namespace, &spec) {
        Some(shared) => shared,
        None => load(engine, &source, &spec).await?,
    };
    shared.retune(spec.topics);
    Ok(QueueEnd::new(Arc::clone(keeper), Arc::clone(engine), shared, spec.ack_wait))
}

fn known(engine: &Engine, namespace: &Namespace, spec: &QueueSpec) -> Option<Arc<QueueShared>> {
    let key = (namespace.clone(), spec.name.as_str().to_owned());
    engine.queues.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
}

/// Reads the queue's state, or makes it. Of two that do so at once the first to
/// finish wins; until then neither has lent anything.
async fn load(engine: &Arc<Engine>, source: &Source, spec: &QueueSpec) -> Result<Arc<QueueShared>, BackendError> {
    let stored = engine
        .call("open a queue", 0, |to| {
            Box::new(OpenQueue {
                namespace: source.namespace.clone(),
                spec: spec.clone(),
                stored: None,
                answer: Answer::new("open a queue", to),
            })
        })
        .await?
        .ok_or_else(|| {
            let why = format!("a queue named {} reads another class", spec.name);
            BackendError::new(Fault::Refused, "open a queue", why)
        })?;
    let notify = Arc::new(Notify::new());
    let feed = Feed::open(engine, source, stored.lent, &notify).await?;
    let shared = QueueShared {
        id: stored.id,
        core: Mutex::new(restored(engine, &stored.items)),
        notify,
        feed: Mutex::new(Some(feed)),
        feed_back: Notify::new(),
        topics: Mutex::new(source.topics.clone()),
    };
    let key = (source.namespace.clone(), spec.name.as_str().to_owned());
    let mut queues = engine.queues.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Arc::clone(queues.entry(key).or_insert_with(|| Arc::new(shared))))
}

/// Lease numbers begin at the clock's milliseconds, so that a token of an
/// earlier process fits nothing.
fn restored(engine: &Engine, items: &[StoredItem]) -> Core {
    let (now, wall) = (Instant::now(), engine.options.clock.now());
    let mut core = Core::new(wall.as_millis().cast_unsigned() << 20);
    for stored in items {
        let wait = stored.due.since(wall);
        let due = (wait > Duration::ZERO).then(|| later(now, wait));
        core.restore(stored.offset, stored.item, due);
    }
    core
}

/// A queue as it is stored.
struct StoredQueue {
    id: i64,
    /// Up to where records were ever lent, express and regular.
    lent: [u64; 2],
    items: Vec<StoredItem>,
}

struct StoredItem {
    offset: u64,
    item: Item,
    due: Timestamp,
}

struct OpenQueue {
    namespace: Namespace,
    spec: QueueSpec,
    stored: Option<StoredQueue>,
    answer: Answer<Option<StoredQueue>>,
}

impl Job for OpenQueue {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        let (namespace, name) = (self.namespace.as_str(), self.spec.name.as_str());
        let found: Option<(i64, String, i64, i64)> = context
            .conn
            .prepare_cached("SELECT id, class, express, regular FROM queues WHERE namespace = ?1 AND name = ?2")?
            .query_row((namespace, name), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        self.stored = match found {
            Some((_, class, ..)) if class != self.spec.class.as_str() => None,
            Some((id, _, express, regular)) => {
                let lent = [express.cast_unsigned(), regular.cast_unsigned()];
                Some(StoredQueue { id, lent, items: items(context.conn, id)? })
            }
            None => Some(self.make(context)?),
        };
        Ok(())
    }

    fn answer(self: Box<Self>) {
        self.answer.ok(self.stored);
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        self.answer.fail(failure);
    }
}

impl OpenQueue {
    fn make(&self, context: &Context<'_>) -> rusqlite::Result<StoredQueue> {
        let after = begin(context, self.spec.class, &self.spec.start)?;
        let (namespace, name, class) = (self.namespace.as_str(), self.spec.name.as_str(), self.spec.class.as_str());
        context
            .conn
            .prepare_cached(
                "INSERT INTO queues (namespace, name, class, express, regular) VALUES (?1, ?2, ?3, ?4, ?4)",
            )?
            .execute((namespace, name, class, after.cast_signed()))?;
        Ok(StoredQueue { id: context.conn.last_insert_rowid(), lent: [after; 2], items: Vec::new() })
    }
}

/// Behind which offset a new queue begins. Offsets are those of the whole log,
/// so a position serves for all partitions and both lanes.
fn begin(context: &Context<'_>, class: Class, start: &Start) -> rusqlite::Result<u64> {
    let end = context.book.end();
    let since = |time| last_before(context.conn, end, time);
    let ours = |position: &Position| {
        position.incarnation == context.engine.incarnation && position.class == class && position.offset <= end
    };
    match start {
        Start::Oldest => Ok(0),
        Start::New => Ok(end),
        Start::Time(time) => since(*time),
        Start::At(position) if ours(position) => Ok(position.offset.saturating_sub(1)),
        Start::After(position) if ours(position) => Ok(position.offset),
        Start::At(position) | Start::After(position) => since(position.time),
    }
}

/// The queue's unsettled items. Those that are still leased were out when
/// their process crashed.
fn items(conn: &Connection, queue: i64) -> rusqlite::Result<Vec<StoredItem>> {
    let mut statement =
        conn.prepare_cached("SELECT offset, lane, leased, attempt, suspect, due FROM items WHERE queue = ?1")?;
    let items = statement.query_map([queue], item)?;
    items.collect()
}

fn item(row: &Row<'_>) -> rusqlite::Result<StoredItem> {
    let express = row.get_ref(1)?.as_str()? == Lane::Express.as_str();
    let crashed: bool = row.get(2)?;
    let attempt: u32 = row.get(3)?;
    Ok(StoredItem {
        offset: row.get::<_, i64>(0)?.cast_unsigned(),
        item: Item {
            lane: if express { Lane::Express } else { Lane::Regular },
            attempt: attempt + u32::from(crashed),
            suspect: crashed || row.get(4)?,
        },
        due: Timestamp::from_millis(row.get(5)?),
    })
}
