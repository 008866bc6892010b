//! What all parts of an open log share: the streams, the end, the writer's
//! inbox, the readers, and whether it is closing.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use handbell_backend::{BackendError, Class, Incarnation, Partition, Position};
use handbell_protocol::{Lane, Namespace, Timestamp};
use tokio::sync::{oneshot, watch};

use crate::{
    error::closed,
    options::Options,
    queue::QueueShared,
    readers::Readers,
    stream::{Stream, StreamKey},
    writer::{Command, Inbox},
};

/// How far an engine's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It takes commands.
    Open,
    /// It works off what it has taken.
    Closing,
    /// The writer has ended and released everything.
    Closed,
}

/// One open database.
pub(crate) struct Engine {
    pub(crate) options: Options,
    pub(crate) incarnation: Incarnation,
    pub(crate) readers: Readers,
    pub(crate) inbox: Inbox,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) queues: Mutex<HashMap<QueueKey, Arc<QueueShared>>>,
    streams: RwLock<HashMap<StreamKey, Arc<Stream>>>,
    channels: RwLock<HashMap<i64, ChannelInfo>>,
    end: AtomicU64,
    end_time: AtomicI64,
    log_name: Arc<str>,
}

/// A queue's name within a log.
pub(crate) type QueueKey = (Namespace, String);

/// Where a channel's records are kept in memory.
#[derive(Clone)]
pub(crate) struct ChannelInfo {
    pub(crate) stream: Arc<Stream>,
    pub(crate) slot: usize,
    pub(crate) topic: handbell_protocol::Topic,
}

impl Engine {
    pub(crate) fn new(options: Options, incarnation: Incarnation, readers: Readers) -> Self {
        Self {
            options,
            incarnation,
            readers,
            inbox: Inbox::default(),
            phase: watch::Sender::new(Phase::Open),
            queues: Mutex::default(),
            streams: RwLock::default(),
            channels: RwLock::default(),
            end: AtomicU64::new(0),
            end_time: AtomicI64::new(0),
            log_name: Arc::from(""),
        }
    }

    /// The highest offset that is committed and in the streams.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The highest broker time so far.
    pub(crate) fn end_time(&self) -> Timestamp {
        Timestamp::from_millis(self.end_time.load(Ordering::Acquire))
    }

    /// Moves the end; the streams have the records already.
    pub(crate) fn set_end(&self, offset: u64, time: Timestamp) {
        self.end_time.store(time.as_millis(), Ordering::Release);
        self.end.store(offset, Ordering::Release);
    }

    /// The position at `offset` of a partition.
    pub(crate) fn position(
        &self,
        class: Class,
        lane: Lane,
        partition: Partition,
        offset: u64,
        time: Timestamp,
    ) -> Position {
        let log = Arc::clone(&self.log_name);
        Position { log, incarnation: self.incarnation, class, lane, partition, offset, time }
    }

    /// The stream of a namespace, class and lane.
    pub(crate) fn stream(&self, key: &StreamKey) -> Arc<Stream> {
        let known = self.streams.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        known.unwrap_or_else(|| {
            let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Stream::new(key.clone(), &self.options));
            Arc::clone(streams.entry(key.clone()).or_insert_with(new))
        })
    }

    /// All streams there are.
    pub(crate) fn all_streams(&self) -> Vec<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Where the channel `id` is.
    pub(crate) fn channel(&self, id: i64) -> Option<ChannelInfo> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Makes a channel known.
    pub(crate) fn add_channel(&self, id: i64, info: ChannelInfo) {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(id, info);
    }

    /// Hands a command that answers to the writer, and waits for the answer.
    /// Commands take effect in the order in which this was called.
    pub(crate) async fn call<T>(
        &self,
        doing: &str,
        weight: usize,
        command: impl FnOnce(oneshot::Sender<Result<T, BackendError>>) -> Command,
    ) -> Result<T, BackendError> {
        let (answer, answered) = oneshot::channel();
        self.inbox.push(command(answer), weight).await.map_err(|_| closed(doing))?;
        answered.await.unwrap_or_else(|_| Err(closed(doing)))
    }

    /// Waits until the log is closing.
    pub(crate) async fn closing(&self) {
        self.reached(Phase::Closing).await;
    }

    /// Whether it takes commands no more.
    pub(crate) fn is_closing(&self) -> bool {
        *self.phase.borrow() >= Phase::Closing
    }

    /// Begins to close: what was handed over is still worked off.
    pub(crate) fn begin_close(&self) {
        self.inbox.close();
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Open;
            if first {
                *phase = Phase::Closing;
            }
            first
        });
    }

    /// Lets go of the queues' state: it is in the database.
    pub(crate) fn forget_queues(&self) {
        let queues = std::mem::take(&mut *self.queues.lock().unwrap_or_else(PoisonError::into_inner));
        drop(queues);
    }

    /// Waits until everything is released.
    pub(crate) async fn closed(&self) {
        self.reached(Phase::Closed).await;
    }

    async fn reached(&self, wanted: Phase) {
        let mut phase = self.phase.subscribe();
        // The sender lives as long as self: this can only end by the phase.
        drop(phase.wait_for(|phase| *phase >= wanted).await);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("place", &self.options.place).field("end", &self.end()).finish_non_exhaustive()
    }
}
