//! The trait that each broker stands behind: its verbs and their obligations.

use async_trait::async_trait;
use bytes::Bytes;
use handbell_protocol::{Lane, Namespace, Timestamp, Topic};

use std::{fmt, sync::Arc};

use crate::{
    BackendError, Capabilities, CellName, CellValue, CellVersion, Class, Outgoing, Partition, Position, PublishError,
    Queue, QueueSpec, Receipts, Record, StoreOutcome, Tail, TailSpec,
};

/// A broker, opened for one namespace. Two namespaces on one broker never
/// meet: nothing stored in one MUST ever come out of a verb of the other.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// The namespace that it was opened for.
    fn namespace(&self) -> &Namespace;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// Hands a batch to the broker. When this returns, the batch has its place
    /// in the order; the receipts follow when the broker has answered.
    ///
    /// A receipt is Ok only after the record is durable at the configured
    /// replication: it MUST survive what [`Capabilities::durability`] says.
    /// Records of one partition and lane MUST be stored in the order in which
    /// their batches were handed over and within the batch; one that fails
    /// doesn't stop the others. A record whose dedup key is stored already
    /// MUST NOT be handed out twice by any tail or queue; where the backend
    /// can tell, its receipt is that of the first with `duplicate` true.
    /// A record may be larger than [`Capabilities::max_event`] only to be refused.
    /// MUST be bounded: it waits, or answers `Busy`, rather than hold more and more.
    ///
    /// Not cancel-safe: when dropped before it returns, the batch is in doubt.
    ///
    /// # Errors
    /// When nothing of the batch was handed over.
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError>;

    /// Opens an ordered reading.
    ///
    /// # Errors
    /// When the reading can't be opened.
    async fn tail(&self, spec: TailSpec) -> Result<Box<dyn Tail>, BackendError>;

    /// The end of each partition of a class and lane now: every record whose
    /// publish is handed over after this returns lies behind it.
    ///
    /// # Errors
    /// When the ends can't be read.
    async fn ends(&self, class: Class, lane: Lane) -> Result<Vec<(Partition, Position)>, BackendError>;

    /// The records at these positions, in their order; `None` where retention
    /// has removed one, or the position is of another incarnation.
    ///
    /// # Errors
    /// When they can't be read.
    async fn fetch(&self, positions: &[Position]) -> Result<Vec<Option<Arc<Record>>>, BackendError>;

    /// How many records a tail of `spec` would hand out before it is level.
    ///
    /// # Errors
    /// When they can't be counted.
    async fn lag(&self, spec: &TailSpec) -> Result<u64, BackendError>;

    /// Loads a cell. MUST see every store that was answered before the call.
    ///
    /// # Errors
    /// When it can't be read.
    async fn cell_load(&self, name: &CellName) -> Result<Option<CellValue>, BackendError>;

    /// Stores a cell if it still has the version `expected` (`None`: if there
    /// is none). MUST be durable before it answers; of stores that name the
    /// same version exactly one MUST succeed. Stores of one cell that are
    /// called one after the other take effect in that order.
    ///
    /// # Errors
    /// In doubt: load the cell and compare.
    async fn cell_store(
        &self,
        name: &CellName,
        value: Bytes,
        expected: Option<CellVersion>,
    ) -> Result<StoreOutcome, BackendError>;

    /// The names of the cells below `prefix`, in order.
    ///
    /// # Errors
    /// When they can't be read.
    async fn cells(&self, prefix: &CellName) -> Result<Vec<CellName>, BackendError>;

    /// Opens one consumer's end of a queue, which is made if it isn't there.
    ///
    /// # Errors
    /// When it can't be opened.
    async fn queue(&self, spec: QueueSpec) -> Result<Box<dyn Queue>, BackendError>;

    /// The topics of a class that have records, by name.
    ///
    /// # Errors
    /// When they can't be listed.
    async fn topics(&self, class: Class) -> Result<Vec<TopicInfo>, BackendError>;

    /// Ends everything: what was handed over is written, waiting calls fail
    /// with [`crate::Fault::Closed`]. Answers when the log is released.
    async fn close(&self);
}

/// A topic that has records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub topic: Topic,
    /// How many records are kept.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was stored.
    pub oldest: Timestamp,
    /// When the newest was stored.
    pub newest: Timestamp,
}
