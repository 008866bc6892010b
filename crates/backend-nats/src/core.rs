//! What all verbs share: the connection, the layout, and what is known of
//! each stream.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use handbell_backend::{BackendError, Class, Fault, Position, TailSpec};
use handbell_protocol::{Lane, Topic};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ack::Asker,
    api::{StreamInfo, instant},
    clock::BrokerClock,
    error::{Trouble, closed},
    layout::Layout,
    options::Options,
    stream::Stream,
};

/// An open namespace.
pub(crate) struct Core {
    pub(crate) asker: Asker,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) clock: BrokerClock,
    /// The connection over which publishing may begin.
    pub(crate) ready: AtomicU64,
    pub(crate) streams: HashMap<(Class, Lane), Arc<Stream>>,
    /// The streams of shared topics, by topic.
    pub(crate) shared: BTreeMap<Topic, Arc<Stream>>,
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

impl Core {
    /// The stream of a class and lane; a shared topic has one of its own.
    pub(crate) fn stream(&self, class: Class, lane: Lane) -> &Arc<Stream> {
        &self.streams[&(class, lane)]
    }

    /// The stream that a reading is of: in class Shared that of its one topic.
    pub(crate) fn stream_of(&self, spec: &TailSpec, doing: &str) -> Result<&Arc<Stream>, BackendError> {
        if spec.class != Class::Shared {
            return Ok(self.stream(spec.class, spec.lane));
        }
        let found = match &spec.topics[..] {
            [topic] => self.shared.iter().find(|(shared, _)| shared.as_str() == topic.as_str()),
            _ => None,
        };
        let why = "class shared is read one declared topic at a time";
        found.map(|(_, stream)| stream).ok_or_else(|| BackendError::new(Fault::Refused, doing, why))
    }

    /// The stream that a position is of, if there is one.
    pub(crate) fn stream_at(&self, position: &Position) -> Option<&Arc<Stream>> {
        let stream = match position.class {
            Class::Shared => self.shared.values().find(|stream| stream.log == position.log)?,
            _ => self.stream(position.class, position.lane),
        };
        stream.has(position).then_some(stream)
    }

    /// Where a record goes.
    pub(crate) fn stream_for(&self, class: Class, lane: Lane, topic: &Topic) -> Option<&Arc<Stream>> {
        match class {
            Class::Shared => self.shared.get(topic),
            _ => Some(self.stream(class, lane)),
        }
    }

    /// All streams of a class: one for each lane, or for each shared topic.
    pub(crate) fn streams_of(&self, class: Class) -> Vec<&Arc<Stream>> {
        match class {
            Class::Shared => self.shared.values().collect(),
            _ => Lane::ALL.into_iter().map(|lane| self.stream(class, lane)).collect(),
        }
    }

    /// What the server says of a stream now.
    pub(crate) async fn look(&self, stream: &Stream) -> Result<StreamInfo, Trouble> {
        let info = self.asker.stream_info(&stream.name).await?;
        stream.seen(&info);
        if let Some(now) = &info.ts {
            self.clock.showed(instant(now));
        }
        Ok(info)
    }

    /// Whether records can be sent: a new connection is looked at first.
    pub(crate) fn can_publish(&self) -> bool {
        let standing = *self.asker.standing().borrow();
        standing.connected && standing.epoch == self.ready.load(Ordering::Acquire)
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
