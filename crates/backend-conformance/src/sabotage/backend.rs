//! A backend that lies.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use handbell_backend::{
    Backend, BackendError, Capabilities, CellName, CellValue, CellVersion, Class, Outgoing, Partition, Position,
    PublishError, Queue, QueueSpec, Receipts, Record, StoreOutcome, Stored, Tail, TailSpec, TopicInfo, header,
};
use handbell_protocol::{Json, Lane, Namespace};

use super::{Lie, queue::LyingQueue, receipts, tail::LyingTail};

/// An honest backend behind a lie.
pub(super) struct Liar {
    inner: Arc<dyn Backend>,
    lie: Lie,
    /// The how manieth backend of its provider it is.
    number: usize,
    /// Events stored through it, by ID.
    stored: Arc<Mutex<HashMap<String, Stored>>>,
}

impl Liar {
    pub(super) fn new(inner: Arc<dyn Backend>, lie: Lie, number: usize) -> Self {
        Self { inner, lie, number, stored: Arc::default() }
    }

    fn is(&self, lie: Lie) -> bool {
        self.lie == lie
    }

    /// The original of a retry, as a broker finds it that knows one ID only.
    fn original(&self, outgoing: &Outgoing) -> Option<Stored> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let original = stored.get(&outgoing.envelope.event.id)?;
        Some(Stored { duplicate: true, ..original.clone() })
    }

    /// Stores what isn't a retry, and remembers it.
    async fn publish_by_id(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        let originals: Vec<_> =
            batch.iter().map(|out| if out.class == Class::Retry { self.original(out) } else { None }).collect();
        let ids: Vec<_> = batch.iter().map(|out| out.envelope.event.id.clone()).collect();
        let fresh = batch.into_iter().zip(&originals).filter(|(_, original)| original.is_none());
        let receipts = self.inner.publish(fresh.map(|(out, _)| out).collect()).await?;
        let stored = Arc::clone(&self.stored);
        Ok(Box::pin(async move {
            let mut fresh = receipts.await.into_iter();
            let all = originals.into_iter().map(|original| original.map(Ok).or_else(|| fresh.next()));
            let all: Vec<_> = all.map(|receipt| receipt.unwrap_or(Err(PublishError::Conflict))).collect();
            let mut stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
            stored.extend(ids.into_iter().zip(&all).filter_map(|(id, one)| Some((id, one.clone().ok()?))));
            all
        }))
    }

    /// What is stored instead of a record.
    fn twist(&self, mut outgoing: Outgoing) -> Outgoing {
        match self.lie {
            Lie::DelayIgnored if outgoing.class == Class::Retry => outgoing.headers.set(header::DUE, "0"),
            Lie::DedupIgnored => outgoing.dedup = None,
            Lie::PayloadRewritten => rewrite(&mut outgoing),
            _ => {}
        }
        outgoing
    }
}

/// As a parser and a printer would leave it.
fn rewrite(outgoing: &mut Outgoing) {
    let value = serde_json::from_str::<serde_json::Value>(outgoing.envelope.payload.as_str());
    if let Ok(payload) = value.and_then(|value| Json::of(&value)) {
        Arc::make_mut(&mut outgoing.envelope).payload = payload;
    }
}

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Liar({:?}, {:?})", self.lie, self.inner)
    }
}

#[async_trait]
impl Backend for Liar {
    fn namespace(&self) -> &Namespace {
        self.inner.namespace()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        let events = batch.iter().all(|out| out.class == Class::Ev);
        let batch: Vec<_> = batch.into_iter().map(|out| self.twist(out)).collect();
        match self.lie {
            Lie::ReceiptBeforeWrite if events => receipts::early(Arc::clone(&self.inner), batch).await,
            Lie::OrderIgnored if events => receipts::reversed(&*self.inner, batch).await,
            Lie::RetryUnderOldId => self.publish_by_id(batch).await,
            _ => self.inner.publish(batch).await,
        }
    }

    async fn tail(&self, spec: TailSpec) -> Result<Box<dyn Tail>, BackendError> {
        let class = spec.class;
        let inner = self.inner.tail(spec).await?;
        Ok(Box::new(LyingTail::new(inner, self.lie, class, self.number)))
    }

    async fn ends(&self, class: Class, lane: Lane) -> Result<Vec<(Partition, Position)>, BackendError> {
        self.inner.ends(class, lane).await
    }

    async fn fetch(&self, positions: &[Position]) -> Result<Vec<Option<Arc<Record>>>, BackendError> {
        self.inner.fetch(positions).await
    }

    async fn lag(&self, spec: &TailSpec) -> Result<u64, BackendError> {
        self.inner.lag(spec).await
    }

    async fn cell_load(&self, name: &CellName) -> Result<Option<CellValue>, BackendError> {
        self.inner.cell_load(name).await
    }

    async fn cell_store(
        &self,
        name: &CellName,
        value: Bytes,
        expected: Option<CellVersion>,
    ) -> Result<StoreOutcome, BackendError> {
        if !self.is(Lie::FenceIgnored) {
            return self.inner.cell_store(name, value, expected).await;
        }
        loop {
            let version = self.inner.cell_load(name).await?.map(|cell| cell.version);
            if let StoreOutcome::Stored(version) = self.inner.cell_store(name, value.clone(), version).await? {
                return Ok(StoreOutcome::Stored(version));
            }
        }
    }

    async fn cells(&self, prefix: &CellName) -> Result<Vec<CellName>, BackendError> {
        self.inner.cells(prefix).await
    }

    async fn queue(&self, spec: QueueSpec) -> Result<Box<dyn Queue>, BackendError> {
        Ok(Box::new(LyingQueue::new(self.inner.queue(spec).await?, self.lie)))
    }

    async fn topics(&self, class: Class) -> Result<Vec<TopicInfo>, BackendError> {
        self.inner.topics(class).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
