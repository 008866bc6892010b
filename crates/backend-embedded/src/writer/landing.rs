//! What the writer knows of the channels, and the way of committed records to
//! those who read from memory.

use std::{collections::HashMap, sync::Arc};

use handbell_backend::{Channel, Record};
use handbell_protocol::{Namespace, Timestamp};
use rusqlite::Connection;

use crate::{
    engine::{ChannelInfo, Engine},
    stream::{Committed, Stream, StreamKey},
};

/// The channels' numbers, the end and the time, as the running transaction
/// sees them.
#[derive(Debug, Default)]
pub(crate) struct Book {
    channels: HashMap<(Namespace, Channel), i64>,
    /// Channels that this transaction has made.
    fresh: Vec<(Namespace, Channel, i64)>,
    /// The channel that was asked for last: most come in rows.
    last: Option<(Namespace, Channel, i64)>,
    end: u64,
    time: Timestamp,
    committed: (u64, Timestamp),
}

impl Book {
    /// A book that begins behind `end`.
    pub(crate) fn new(end: u64, time: Timestamp) -> Self {
        Self { end, time, committed: (end, time), ..Self::default() }
    }

    /// Notes a channel that is stored.
    pub(crate) fn know(&mut self, namespace: Namespace, channel: Channel, id: i64) {
        self.channels.insert((namespace, channel), id);
    }

    /// The channel's number; makes it where there is none.
    pub(crate) fn channel(
        &mut self,
        conn: &Connection,
        namespace: &Namespace,
        channel: &Channel,
    ) -> rusqlite::Result<i64> {
        if let Some((_, _, id)) = self.last.as_ref().filter(|(n, c, _)| n == namespace && c == channel) {
            return Ok(*id);
        }
        let key = (namespace.clone(), channel.clone());
        let id = match self.channels.get(&key) {
            Some(id) => *id,
            None => self.make(conn, key.clone())?,
        };
        self.last = Some((key.0, key.1, id));
        Ok(id)
    }

    fn make(&mut self, conn: &Connection, key: (Namespace, Channel)) -> rusqlite::Result<i64> {
        let (namespace, channel) = &key;
        conn.prepare_cached("INSERT INTO channels (namespace, class, lane, topic) VALUES (?1, ?2, ?3, ?4)")?
            .execute((namespace.as_str(), channel.class.as_str(), channel.lane.as_str(), channel.topic.as_str()))?;
        let id = conn.last_insert_rowid();
        self.fresh.push((namespace.clone(), channel.clone(), id));
        self.channels.insert(key, id);
        Ok(id)
    }

    /// The offset of the next record. They are counted here rather than by
    /// AUTOINCREMENT, which costs a sixth of every insert; `meta.counted` keeps
    /// the count where retention removes the last records.
    pub(crate) fn next_offset(&self) -> u64 {
        self.end + 1
    }

    /// Notes that a record was inserted at [`Book::next_offset`].
    pub(crate) fn stored(&mut self) {
        self.end += 1;
    }

    /// The last offset, this transaction's included.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// This transaction's broker time.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    pub(super) fn begin(&mut self, now: Timestamp) {
        self.time = self.committed.1.max(now);
    }

    pub(super) fn roll_back(&mut self) {
        self.last = None;
        for (namespace, channel, _) in self.fresh.drain(..) {
            self.channels.remove(&(namespace, channel));
        }
        (self.end, self.time) = self.committed;
    }
}

/// Carries what one transaction committed into memory.
pub(crate) struct Landing<'a> {
    pub(crate) engine: &'a Arc<Engine>,
    book: &'a mut Book,
    streams: Vec<(Arc<Stream>, Vec<Committed>)>,
    places: HashMap<i64, (usize, ChannelInfo)>,
    /// The channel of the record before: most come in rows of one channel.
    last: Option<(i64, (usize, usize))>,
    bytes: usize,
}

impl<'a> Landing<'a> {
    pub(super) fn new(engine: &'a Arc<Engine>, book: &'a mut Book) -> Self {
        for (namespace, channel, id) in book.fresh.drain(..) {
            register(engine, namespace, channel, id);
        }
        Self { engine, book, streams: Vec::new(), places: HashMap::new(), last: None, bytes: 0 }
    }

    /// Adds a record of the channel `id`.
    pub(crate) fn record(&mut self, id: i64, record: Arc<Record>, bytes: usize) {
        let Some((stream, slot)) = self.place(id) else { return };
        self.bytes += bytes;
        self.streams[stream].1.push(Committed { slot, record, bytes });
    }

    /// Notes that something else was written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Shows the records and the end at once, then wakes. Only the writer ever
    /// holds more than one stream's lock. Tells the bytes.
    pub(super) fn finish(self) -> usize {
        let Self { engine, book, mut streams, bytes, .. } = self;
        let mut shown = Vec::with_capacity(streams.len());
        for (stream, records) in &mut streams {
            let mut state = stream.lock();
            let slots = state.append(std::mem::take(records));
            shown.push((state, slots));
        }
        book.committed = (book.end, book.time);
        engine.set_end(book.end, book.time);
        for (state, slots) in shown {
            state.wake(&slots);
        }
        bytes
    }

    fn place(&mut self, id: i64) -> Option<(usize, usize)> {
        match self.last {
            Some((last, place)) if last == id => Some(place),
            _ => {
                let place = self.look_up(id)?;
                self.last = Some((id, place));
                Some(place)
            }
        }
    }

    fn look_up(&mut self, id: i64) -> Option<(usize, usize)> {
        if let Some((stream, info)) = self.places.get(&id) {
            return Some((*stream, info.slot));
        }
        let info = self.engine.channel(id)?;
        let known = self.streams.iter().position(|(stream, _)| Arc::ptr_eq(stream, &info.stream));
        let stream = known.unwrap_or_else(|| {
            self.streams.push((Arc::clone(&info.stream), Vec::new()));
            self.streams.len() - 1
        });
        let slot = info.slot;
        self.places.insert(id, (stream, info));
        Some((stream, slot))
    }
}

/// Makes a stored channel known to all.
pub(crate) fn register(engine: &Engine, namespace: Namespace, channel: Channel, id: i64) -> ChannelInfo {
    let stream = engine.stream(&StreamKey { namespace, class: channel.class, lane: channel.lane });
    let slot = stream.add_slot(id, channel.topic.clone());
    let info = ChannelInfo { stream, slot, topic: channel.topic };
    engine.add_channel(id, info.clone());
    info
}
