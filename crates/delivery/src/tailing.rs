//! A tail that goes on: retried while its backend fails, opened anew where it
//! had got to when it has ended.

use std::{collections::BTreeMap, fmt, sync::Arc};

use handbell_backend::{Backend, BackendError, Class, Partition, Record, Start, Tail, TailItem, TailSpec};
use handbell_protocol::{Lane, TopicPattern};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;

/// One lane's reading.
pub(crate) struct SteadyTail {
    backend: Arc<dyn Backend>,
    class: Class,
    lane: Lane,
    topics: Vec<TopicPattern>,
    /// Where it goes on, by partition: follows what has been handed out.
    starts: Box<[(Partition, Start)]>,
    tail: Option<Box<dyn Tail>>,
    retry_at: Option<Instant>,
    backoff: Backoff,
}

impl SteadyTail {
    /// Opens it; from here on failures are its own business.
    pub(crate) async fn open(backend: Arc<dyn Backend>, spec: TailSpec) -> Result<Self, BackendError> {
        let tail = backend.tail(spec.clone()).await?;
        Ok(Self { tail: Some(tail), ..Self::later(backend, spec) })
    }

    /// Opens it with the first reading.
    pub(crate) fn later(backend: Arc<dyn Backend>, spec: TailSpec) -> Self {
        let TailSpec { class, lane, topics, partitions } = spec;
        let starts = partitions.into_iter().collect();
        let backoff = Backoff::new("read a tail");
        Self { backend, class, lane, topics, starts, tail: None, retry_at: None, backoff }
    }

    fn spec(&self) -> TailSpec {
        let partitions = self.starts.iter().cloned().collect();
        TailSpec { class: self.class, lane: self.lane, topics: self.topics.clone(), partitions }
    }

    /// Where it would go on in a partition.
    pub(crate) fn start(&self, partition: Partition) -> Option<Start> {
        self.place(partition).map(|at| self.starts[at].1.clone())
    }

    fn place(&self, partition: Partition) -> Option<usize> {
        self.starts.binary_search_by_key(&partition, |(of, _)| *of).ok()
    }

    fn go_on(&mut self, partition: Partition, start: Start) {
        if let Some(at) = self.place(partition) {
            self.starts[at].1 = start;
        }
    }

    /// The next item, as [`Tail::next`]; `Level` comes once for each opening.
    /// Cancel-safe: what a dropped call had done so far stands in `self`.
    pub(crate) async fn next(&mut self, max: usize) -> TailItem {
        loop {
            if let Some(at) = self.retry_at {
                sleep_until(at).await;
                self.retry_at = None;
            }
            match self.attempt(max).await {
                Ok(item) => {
                    self.backoff.worked();
                    self.note(&item);
                    return item;
                }
                Err(error) => {
                    if !error.is_retryable() {
                        self.tail = None;
                    }
                    self.retry_at = Some(Instant::now() + self.backoff.failed(&error));
                }
            }
        }
    }

    async fn attempt(&mut self, max: usize) -> Result<TailItem, BackendError> {
        if self.tail.is_none() {
            self.tail = Some(self.backend.tail(self.spec()).await?);
        }
        let tail = self.tail.as_mut().expect("a tail that was just opened is there");
        tail.next(max).await
    }

    /// Remembers how far it has got.
    fn note(&mut self, item: &TailItem) {
        match item {
            TailItem::Records(records) => {
                let last: BTreeMap<Partition, &Arc<Record>> =
                    records.iter().map(|record| (record.position.partition, record)).collect();
                for (partition, record) in last {
                    self.go_on(partition, Start::After(record.position.clone()));
                }
            }
            TailItem::Trimmed(trimmed) => {
                self.go_on(trimmed.to.partition, Start::At(trimmed.to.clone()));
            }
            TailItem::Level => {}
        }
    }
}

impl fmt::Debug for SteadyTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteadyTail").field("spec", &self.spec()).finish_non_exhaustive()
    }
}
