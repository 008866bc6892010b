//! The one trait behind which a broker stands, and the words that go with it.
//!
//! A **channel** is (namespace, class, lane, topic). A backend stores records
//! in partitions of channels, hands them out in order, keeps small registers
//! (cells) under compare-and-set, and lends records of a queue to competing
//! consumers. Nothing here is atomic across verbs: atomicity is one record or
//! one cell. This crate knows no broker, and nothing of groups, sessions or
//! agents; groups are built on these verbs once for all brokers.
//!
//! Every sentence with MUST is an obligation with a case in the conformance
//! suite.

mod backend;
mod capabilities;
mod cell;
mod channel;
mod error;
mod position;
mod publish;
mod queue;
mod record;
mod tail;

pub use backend::{Backend, TopicInfo};
pub use capabilities::{Capabilities, DedupReach};
pub use cell::{CellName, CellValue, CellVersion, StoreOutcome};
pub use channel::{Channel, Class, Partition, PartitionCount, partition_of};
pub use error::{BackendError, Fault, PublishError};
pub use position::{BadPosition, Incarnation, Position};
pub use publish::{Dedup, Outgoing, Receipts, Stored};
pub use queue::{Queue, QueueDelivery, QueueSpec, QueueToken, Settlement};
pub use record::{Headers, Record, header};
pub use tail::{Start, Tail, TailItem, TailSpec, Trimmed};
