//! A backend that can be out of reach for a while: every verb then fails as
//! unavailable, at once, without an effect, and open tails end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use handbell_backend::{
    Backend, BackendError, Capabilities, CellName, CellValue, CellVersion, Class, Fault, Outgoing, Partition, Position,
    PublishError, Queue, QueueDelivery, QueueSpec, QueueToken, Receipts, Record, Settlement, StoreOutcome, Tail,
    TailItem, TailSpec, TopicInfo,
};
use handbell_protocol::{Lane, Namespace};

/// Whether the backend is out of reach, and how many calls found it so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switch(Arc<(AtomicBool, AtomicU64)>);

impl Switch {
    pub(crate) fn set(&self, out: bool) {
        self.0.0.store(out, Ordering::SeqCst);
    }

    pub(crate) fn refused(&self) -> u64 {
        self.0.1.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), BackendError> {
        if self.0.0.load(Ordering::SeqCst) {
            self.0.1.fetch_add(1, Ordering::SeqCst);
            return Err(BackendError::new(Fault::Unavailable, "reach the backend", "switched off by the test"));
        }
        Ok(())
    }

    /// Fails what is under way when the outage begins.
    async fn began(&self) -> BackendError {
        loop {
            if let Err(error) = self.check() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) switch: Switch,
}

#[async_trait]
impl Backend for Outage {
    fn namespace(&self) -> &Namespace {
        self.inner.namespace()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        self.switch.check().map_err(|error| PublishError::Unavailable(error.to_string()))?;
        self.inner.publish(batch).await
    }

    async fn tail(&self, spec: TailSpec) -> Result<Box<dyn Tail>, BackendError> {
        self.switch.check()?;
        Ok(Box::new(OutageTail(self.inner.tail(spec).await?, self.switch.clone())))
    }

    async fn ends(&self, class: Class, lane: Lane) -> Result<Vec<(Partition, Position)>, BackendError> {
        self.switch.check()?;
        self.inner.ends(class, lane).await
    }

    async fn fetch(&self, positions: &[Position]) -> Result<Vec<Option<Arc<Record>>>, BackendError> {
        self.switch.check()?;
        self.inner.fetch(positions).await
    }

    async fn lag(&self, spec: &TailSpec) -> Result<u64, BackendError> {
        self.switch.check()?;
        self.inner.lag(spec).await
    }

    async fn cell_load(&self, name: &CellName) -> Result<Option<CellValue>, BackendError> {
        self.switch.check()?;
        self.inner.cell_load(name).await
    }

    async fn cell_store(
        &self,
        name: &CellName,
        value: Bytes,
        expected: Option<CellVersion>,
    ) -> Result<StoreOutcome, BackendError> {
        self.switch.check()?;
        self.inner.cell_store(name, value, expected).await
    }

    async fn cells(&self, prefix: &CellName) -> Result<Vec<CellName>, BackendError> {
        self.switch.check()?;
        self.inner.cells(prefix).await
    }

    async fn queue(&self, spec: QueueSpec) -> Result<Box<dyn Queue>, BackendError> {
        self.switch.check()?;
        Ok(Box::new(OutageQueue(self.inner.queue(spec).await?, self.switch.clone())))
    }

    async fn topics(&self, class: Class) -> Result<Vec<TopicInfo>, BackendError> {
        self.switch.check()?;
        self.inner.topics(class).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct OutageTail(Box<dyn Tail>, Switch);

#[async_trait]
impl Tail for OutageTail {
    async fn next(&mut self, max: usize) -> Result<TailItem, BackendError> {
        tokio::select! {
            biased;
            error = self.1.began() => Err(BackendError { fault: Fault::Refused, ..error }),
            item = self.0.next(max) => item,
        }
    }
}

struct OutageQueue(Box<dyn Queue>, Switch);

#[async_trait]
impl Queue for OutageQueue {
    async fn pull(&self, max: usize) -> Result<Vec<QueueDelivery>, BackendError> {
        tokio::select! {
            biased;
            error = self.1.began() => Err(error),
            pulled = self.0.pull(max) => pulled,
        }
    }

    async fn settle(&self, settlements: Vec<(QueueToken, Settlement)>) -> Result<Vec<bool>, BackendError> {
        self.1.check()?;
        self.0.settle(settlements).await
    }

    async fn extend(&self, tokens: &[(&QueueToken, Duration)]) -> Result<Vec<bool>, BackendError> {
        self.1.check()?;
        self.0.extend(tokens).await
    }
}
