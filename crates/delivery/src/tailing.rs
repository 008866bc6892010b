//! A tail that goes on: retried while its backend fails, opened anew where it
//! had got to when it has ended.

use std::{collections::BTreeMap, fmt, sync::Arc};

use handbell_backend::{Backend, BackendError, Partition, Record, Start, Tail, TailItem, TailSpec};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;

/// One lane's reading.
pub(crate) struct SteadyTail {
    backend: Arc<dyn Backend>,
    /// What is read; its starts follow what has been handed out.
    spec: TailSpec,
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
        Self { backend, spec, tail: None, retry_at: None, backoff: Backoff::new("read a tail") }
    }

    /// Where it would go on in a partition.
    pub(crate) fn start(&self, partition: Partition) -> Option<Start> {
        self.spec.partitions.get(&partition).cloned()
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
            self.tail = Some(self.backend.tail(self.spec.clone()).await?);
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
                let after =
                    last.into_iter().map(|(partition, record)| (partition, Start::After(record.position.clone())));
                self.spec.partitions.extend(after);
            }
            TailItem::Trimmed(trimmed) => {
                self.spec.partitions.insert(trimmed.to.partition, Start::At(trimmed.to.clone()));
            }
            TailItem::Level => {}
        }
    }
}

impl fmt::Debug for SteadyTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteadyTail").field("spec", &self.spec).finish_non_exhaustive()
    }
}
