//! What all verbs share: the connection, the layout, and what is known of
//! each stream.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use handbell_backend::{BackendError, Class, Incarnation, Partition, Position};
use handbell_protocol::{Lane, Timestamp};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ack::Asker,
    api::{StreamInfo, instant},
    clock::BrokerClock,
    error::{Trouble, closed},
    layout::Layout,
    options::Options,
};

/// An open namespace.
pub(crate) struct Core {
    pub(crate) asker: Asker,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) clock: BrokerClock,
    pub(crate) streams: HashMap<(Class, Lane), Stream>,
    /// Cancelled when nothing new may begin.
    pub(crate) closing: CancellationToken,
    /// What must be done before the end: receipts, and what is handed back.
    pub(crate) tasks: TaskTracker,
    /// Ends the reader of answers, the last that is needed.
    pub(crate) ended: CancellationToken,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// A class and lane's stream.
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    incarnation: AtomicU64,
}

impl Stream {
    pub(crate) fn new(name: Arc<str>, info: &StreamInfo) -> Self {
        Self { name, incarnation: AtomicU64::new(incarnation(info).0) }
    }

    /// Which life of the stream was seen last.
    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation(self.incarnation.load(Ordering::Relaxed))
    }
}

/// The life of a stream: the instant at which it was made, in nanoseconds.
pub(crate) fn incarnation(info: &StreamInfo) -> Incarnation {
    let created = info.created.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_nanosecond);
    Incarnation(u64::try_from(created).unwrap_or(0))
}

impl Core {
    /// The stream of a class and lane.
    pub(crate) fn stream(&self, class: Class, lane: Lane) -> &Stream {
        &self.streams[&(class, lane)]
    }

    /// What the server says of a class and lane's stream now.
    pub(crate) async fn look(&self, class: Class, lane: Lane) -> Result<StreamInfo, Trouble> {
        let stream = self.stream(class, lane);
        let info = self.asker.stream_info(&stream.name).await?;
        stream.incarnation.store(incarnation(&info).0, Ordering::Relaxed);
        if let Some(now) = &info.ts {
            self.clock.showed(instant(now));
        }
        Ok(info)
    }

    /// A place in a class and lane.
    pub(crate) fn position(
        &self,
        class: Class,
        lane: Lane,
        partition: Partition,
        offset: u64,
        time: Timestamp,
    ) -> Position {
        let incarnation = self.stream(class, lane).incarnation();
        Position { log: "".into(), incarnation, class, lane, partition, offset, time }
    }

    /// A name for something of our own that ends with us.
    pub(crate) fn fresh_name(&self) -> String {
        let inbox = self.asker.client().new_inbox();
        format!("hb-{}", inbox.rsplit('.').next().unwrap_or(&inbox))
    }

    /// Fails once the backend is closed.
    pub(crate) fn open(&self, doing: &str) -> Result<(), BackendError> {
        if self.closing.is_cancelled() { Err(closed(doing)) } else { Ok(()) }
    }

    /// Runs a verb that changes nothing until it ends or the backend is closed.
    pub(crate) async fn until_closed<T>(
        &self,
        doing: &str,
        verb: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        self.open(doing)?;
        match self.closing.run_until_cancelled(verb).await {
            Some(result) => result,
            None => Err(closed(doing)),
        }
    }
}
