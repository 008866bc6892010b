//! Reading the log for what matches: everything is read, a page is kept.
//!
//! Pure apart from the tails. Memory is bounded by the page: at most `limit`
//! records and [`MAX_BYTES`] of payload are held, whatever the log holds.

use std::{collections::BTreeMap, sync::Arc};

use handbell_backend::{Backend, BackendError, Class, Position, Record, Start, TailItem, TailSpec};
use handbell_protocol::{Lane, Target, Timestamp, TopicPattern, event::same_type};
use serde::Deserialize;

/// What is looked for; what is absent matches everything.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) correlation_id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) topic: Option<TopicPattern>,
    /// Stored then or later.
    pub(crate) since: Option<Timestamp>,
    /// Stored before.
    pub(crate) until: Option<Timestamp>,
    /// Somewhere in the ID, the type, the source or the payload, in either case.
    pub(crate) text: Option<String>,
}

/// From which end of time the page is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// The oldest first.
    #[default]
    Asc,
    /// The newest first.
    Desc,
}

/// The records of a page, in the order of [`key`].
#[derive(Debug)]
pub(crate) struct Found {
    kept: BTreeMap<Key, Arc<Record>>,
    bytes: usize,
    limit: usize,
    direction: Direction,
    after: Option<Key>,
    pub(crate) more: bool,
}

/// The order of the whole log: the broker's time, then the place.
type Key = (i64, Class, Lane, u16, u64);

/// The payloads that a page may hold, in bytes; one record is always kept.
const MAX_BYTES: usize = 8 << 20;
const BATCH: usize = 512;

pub(crate) fn key(position: &Position) -> Key {
    (position.time.as_millis(), position.class, position.lane, position.partition.0, position.offset)
}

/// Reads all that is stored now and keeps a page of it.
pub(crate) async fn scan(backend: &dyn Backend, wanted: &Wanted, found: &mut Found) -> Result<(), BackendError> {
    // Direct work has no topic.
    let classes = if wanted.topic.is_some() { vec![Class::Ev] } else { vec![Class::Ev, Class::Inbox] };
    for class in classes {
        for lane in Lane::ALL {
            scan_lane(backend, class, lane, wanted, found).await?;
        }
    }
    Ok(())
}

async fn scan_lane(
    backend: &dyn Backend,
    class: Class,
    lane: Lane,
    wanted: &Wanted,
    found: &mut Found,
) -> Result<(), BackendError> {
    let start = found.start(wanted).map_or(Start::Oldest, Start::Time);
    let partitions = backend.capabilities().partitions.iter().map(|partition| (partition, start.clone())).collect();
    let topics = wanted.topic.iter().cloned().collect();
    let mut tail = backend.tail(TailSpec { class, lane, topics, partitions }).await?;
    loop {
        match tail.next(BATCH).await? {
            TailItem::Records(records) => records.iter().filter(|record| wanted.matches(record)).for_each(|record| {
                found.take(record);
            }),
            TailItem::Trimmed(_) => {}
            TailItem::Level => return Ok(()),
        }
    }
}

impl Wanted {
    pub(crate) fn matches(&self, record: &Record) -> bool {
        let event = &record.envelope.event;
        let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|wanted| wanted == have);
        let stored = record.position.time;
        is(&self.correlation_id, &event.correlation_id)
            && is(&self.source, &event.source)
            && self.event_type.as_deref().is_none_or(|wanted| same_type(wanted, &event.event_type))
            && self.since.is_none_or(|since| stored >= since)
            && self.until.is_none_or(|until| stored < until)
            && self.text.as_deref().is_none_or(|text| mentions(record, text))
    }
}

fn mentions(record: &Record, text: &str) -> bool {
    let text = text.to_lowercase();
    let event = &record.envelope.event;
    let payload = record.envelope.payload.as_str();
    [event.id.as_str(), &event.event_type, &event.source, payload]
        .iter()
        .any(|have| have.to_lowercase().contains(&text))
}

impl Found {
    pub(crate) fn new(limit: usize, direction: Direction, after: Option<&Position>) -> Self {
        Self { kept: BTreeMap::new(), bytes: 0, limit, direction, after: after.map(key), more: false }
    }

    /// The page, in its direction.
    pub(crate) fn into_records(self) -> Vec<Arc<Record>> {
        match self.direction {
            Direction::Asc => self.kept.into_values().collect(),
            Direction::Desc => self.kept.into_values().rev().collect(),
        }
    }

    fn start(&self, wanted: &Wanted) -> Option<Timestamp> {
        let after = self.after.filter(|_| self.direction == Direction::Asc);
        let after = after.map(|(millis, ..)| Timestamp::from_millis(millis));
        wanted.since.max(after)
    }

    fn take(&mut self, record: &Arc<Record>) {
        let key = key(&record.position);
        let seen = self.after.is_some_and(|after| match self.direction {
            Direction::Asc => key <= after,
            Direction::Desc => key >= after,
        });
        if seen || self.is_copy(record) {
            return;
        }
        self.bytes += record.envelope.payload.as_bytes().len();
        self.kept.insert(key, record.clone());
        while self.kept.len() > self.limit || (self.bytes > MAX_BYTES && self.kept.len() > 1) {
            self.drop_farthest();
        }
    }

    /// What is for `all` is stored once for each agent; one of them is shown.
    fn is_copy(&self, record: &Record) -> bool {
        record.envelope.routing.to == Some(Target::All)
            && self.kept.values().any(|kept| kept.envelope.event.id == record.envelope.event.id)
    }

    fn drop_farthest(&mut self) {
        let dropped = match self.direction {
            Direction::Asc => self.kept.pop_last(),
            Direction::Desc => self.kept.pop_first(),
        };
        if let Some((_, record)) = dropped {
            self.bytes -= record.envelope.payload.as_bytes().len();
            self.more = true;
        }
    }
}
