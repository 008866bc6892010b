//! Ordered reading: a task keeps one consumer without acknowledgements at its
//! place in the stream, whatever becomes of connections and servers, and hands
//! over what it reads through a bounded channel.

mod life;
mod reader;

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use handbell_backend::{BackendError, Record, Tail, TailItem, TailSpec, Trimmed};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    core::Core,
    error::{Trouble, closed},
    filters::Wanted,
    starts::Place,
};
use reader::Reader;

const DOING: &str = "read a tail";
/// How many batches are read ahead.
const AHEAD: usize = 2;

/// What the task hands over.
enum Item {
    Records(Vec<Arc<Record>>),
    Gap(Trimmed),
    Level,
    Failed(BackendError),
}

/// An open tail. Dropping it ends the task.
pub(crate) struct NatsTail {
    core: Arc<Core>,
    items: mpsc::Receiver<Item>,
    /// Of the last batch, what nobody has asked for yet.
    rest: VecDeque<Arc<Record>>,
    _ended: DropGuard,
}

impl NatsTail {
    pub(crate) async fn open(core: &Arc<Core>, spec: &TailSpec) -> Result<Self, BackendError> {
        let told = |trouble: Trouble| trouble.reading("open a tail");
        let stream = core.stream_of(spec, DOING)?;
        let info = core.look(stream).await.map_err(told)?;
        let place = Place::new(stream, &info);
        let begins = place.begins(core, &spec.partitions).await.map_err(told)?;
        let wanted = Wanted::new(core, stream, &spec.topics, spec.partitions.keys().copied());
        let (sender, items) = mpsc::channel(AHEAD);
        let ended = CancellationToken::new();
        let reader = Reader::new(Arc::clone(core), place, wanted, begins, sender);
        tokio::spawn(reader.run(ended.clone()));
        Ok(Self { core: Arc::clone(core), items, rest: VecDeque::new(), _ended: ended.drop_guard() })
    }

    fn take(&mut self, max: usize) -> Option<TailItem> {
        let count = self.rest.len().min(max.max(1));
        (count > 0).then(|| TailItem::Records(self.rest.drain(..count).collect()))
    }
}

#[async_trait]
impl Tail for NatsTail {
    async fn next(&mut self, max: usize) -> Result<TailItem, BackendError> {
        self.core.open(DOING)?;
        if let Some(records) = self.take(max) {
            return Ok(records);
        }
        let item = tokio::select! {
            biased;
            () = self.core.closing.cancelled() => return Err(closed(DOING)),
            item = self.items.recv() => item,
        };
        match item {
            Some(Item::Records(records)) => {
                self.rest = records.into();
                self.take(max).ok_or_else(|| closed(DOING))
            }
            Some(Item::Gap(trimmed)) => Ok(TailItem::Trimmed(trimmed)),
            Some(Item::Level) => Ok(TailItem::Level),
            Some(Item::Failed(error)) => Err(error),
            None => Err(closed(DOING)),
        }
    }
}
