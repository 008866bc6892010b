//! Reading a queue's records ahead of what is lent.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use handbell_backend::{BackendError, Class, PartitionCount, Start, TailSpec};
use handbell_protocol::{Lane, Namespace, TopicPattern};
use tokio::sync::Notify;

use super::{QueueShared, core::READ_AHEAD, jobs::Forget};
use crate::{
    engine::Engine,
    error::closed,
    reading::{Got, Reading},
    scan::record_at,
    stream::{Bell, StreamKey},
};

/// How many records of items are read at once.
const SUPPLY: usize = 32;

/// A place in each lane.
pub(super) struct Feed {
    source: Source,
    express: Reading,
    regular: Reading,
}

/// What a feed reads.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) namespace: Namespace,
    pub(super) class: Class,
    pub(super) topics: Vec<TopicPattern>,
}

impl Feed {
    /// Opens the places behind these offsets.
    pub(super) async fn open(
        engine: &Arc<Engine>,
        source: &Source,
        [express, regular]: [u64; 2],
        notify: &Arc<Notify>,
    ) -> Result<Self, BackendError> {
        Ok(Self {
            source: source.clone(),
            express: place(engine, source, Lane::Express, express, notify).await?,
            regular: place(engine, source, Lane::Regular, regular, notify).await?,
        })
    }

    /// Reads other topics from here on, if they differ.
    async fn retune(&mut self, engine: &Arc<Engine>, queue: &QueueShared) -> Result<(), BackendError> {
        let topics = queue.topics().clone();
        if self.source.topics != topics {
            let source = Source { topics, ..self.source.clone() };
            let places = [self.express.cursor(), self.regular.cursor()];
            *self = Self::open(engine, &source, places, &queue.notify).await?;
        }
        Ok(())
    }

    fn lane(&mut self, lane: Lane) -> &mut Reading {
        match lane {
            Lane::Express => &mut self.express,
            Lane::Regular => &mut self.regular,
        }
    }

    /// Fills the core up to `max` records of a lane. Cancel-safe.
    async fn fill(&mut self, engine: &Engine, queue: &QueueShared, lane: Lane, max: usize) -> Result<(), BackendError> {
        loop {
            let wanted = {
                let core = queue.core();
                let more = core.has_room() && !core.is_heavy(lane);
                if more { max.saturating_sub(core.ready(lane)) } else { 0 }
            };
            if wanted == 0 {
                return Ok(());
            }
            match self.lane(lane).next(engine.end(), wanted).await? {
                None => return Ok(()),
                Some(Got::Gap(gap)) => {
                    tracing::warn!(from = %gap.from, to = %gap.to, "retention removed what a queue had not lent");
                }
                Some(Got::Records(records)) => {
                    let mut core = queue.core();
                    records.into_iter().for_each(|record| core.add(record));
                }
            }
        }
    }
}

/// The feed, taken out of its queue; it goes back however this ends.
struct Taken {
    queue: Arc<QueueShared>,
    feed: Option<Feed>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        *self.queue.feed() = self.feed.take();
        self.queue.feed_back.notify_waiters();
    }
}

impl Taken {
    async fn fill(mut self, engine: Arc<Engine>, max: usize) -> Result<(), BackendError> {
        let (queue, Some(feed)) = (&self.queue, &mut self.feed) else { return Ok(()) };
        feed.retune(&engine, queue).await?;
        queue.core().wake(std::time::Instant::now());
        feed.fill(&engine, queue, Lane::Express, max).await?;
        if queue.core().ready(Lane::Express) < max {
            feed.fill(&engine, queue, Lane::Regular, max).await?;
        }
        queue.supply(&engine, max).await
    }
}

impl QueueShared {
    /// Reads these topics from here on.
    pub(super) fn retune(&self, topics: Vec<TopicPattern>) {
        let changed = *self.topics() != topics;
        if changed {
            *self.topics() = topics;
            // Those that wait listen to the old ones only.
            self.notify.notify_waiters();
        }
    }

    /// Makes up to `max` records ready, as far as there are any; tells whether
    /// there is one. Cancel-safe.
    ///
    /// One at a time reads ahead. What takes longer than a look into memory goes
    /// on as a task, so that nobody waits for a caller that isn't polled.
    pub(super) async fn prepare(self: &Arc<Self>, engine: &Arc<Engine>, max: usize) -> Result<bool, BackendError> {
        let taken = self.take_feed().await;
        let mut filling = Box::pin(taken.fill(Arc::clone(engine), max));
        match poll_once(&mut filling).await {
            Poll::Ready(filled) => filled?,
            Poll::Pending => tokio::spawn(filling).await.unwrap_or_else(|_| Err(closed("read a queue ahead")))?,
        }
        let core = self.core();
        Ok(Lane::ALL.into_iter().any(|lane| core.ready(lane) > 0))
    }

    async fn take_feed(self: &Arc<Self>) -> Taken {
        loop {
            let mut back = pin!(self.feed_back.notified());
            back.as_mut().enable();
            if let Some(feed) = self.feed().take() {
                return Taken { queue: Arc::clone(self), feed: Some(feed) };
            }
            back.await;
        }
    }

    /// Gets the records of the next items that were stored, until they are
    /// enough or heavy. Items whose record is gone are dropped.
    async fn supply(self: &Arc<Self>, engine: &Arc<Engine>, max: usize) -> Result<(), BackendError> {
        let mut bytes = 0;
        while bytes < READ_AHEAD {
            let wanting = self.core().wanting(max);
            let Some(next) = wanting.chunks(SUPPLY).next().map(<[u64]>::to_vec) else { return Ok(()) };
            let (shared, offsets) = (Arc::clone(engine), next.clone());
            let job = move |tx: &rusqlite::Transaction<'_>| {
                offsets.into_iter().map(|offset| record_at(tx, &shared, offset)).collect::<Result<Vec<_>, _>>()
            };
            let found = engine.readers.read("read lent records", job).await?;
            let mut gone = Vec::new();
            for (offset, found) in next.into_iter().zip(found) {
                match found {
                    Some((_, record)) => {
                        bytes += record.envelope.payload.as_bytes().len();
                        self.core().supply(Arc::new(record));
                    }
                    None => gone.push(offset),
                }
            }
            self.drop_gone(engine, gone).await?;
        }
        Ok(())
    }

    async fn drop_gone(self: &Arc<Self>, engine: &Arc<Engine>, gone: Vec<u64>) -> Result<(), BackendError> {
        if gone.is_empty() {
            return Ok(());
        }
        tracing::warn!(count = gone.len(), "retention removed what a queue had unsettled");
        let queue = Arc::clone(self);
        engine.call("drop removed records", 0, |to| Box::new(Forget::new(queue, gone, to))).await
    }
}

/// Polls a future once, with the waker of the task that this runs in.
async fn poll_once<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn place(
    engine: &Arc<Engine>,
    source: &Source,
    lane: Lane,
    after: u64,
    notify: &Arc<Notify>,
) -> Result<Reading, BackendError> {
    let Source { namespace, class, topics } = source.clone();
    let count: PartitionCount = engine.options.partitions;
    let start = |partition| Start::After(engine.position(class, lane, partition, after, engine.end_time()));
    let partitions: BTreeMap<_, _> = count.iter().map(|partition| (partition, start(partition))).collect();
    let spec = TailSpec { class, lane, topics, partitions };
    Reading::open(engine, StreamKey { namespace, class, lane }, &spec, Bell::All(Arc::clone(notify))).await
}
