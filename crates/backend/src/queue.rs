//! Competing consumers without order.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use handbell_protocol::TopicPattern;

use crate::{BackendError, CellName, Class, Record, Start};

/// A durable queue over the records of a class and some topics, both lanes.
#[derive(Clone, Debug)]
pub struct QueueSpec {
    /// The queue's name; its state is kept under it.
    pub name: CellName,
    /// The class that it reads.
    pub class: Class,
    /// The topics that it reads.
    pub topics: Vec<TopicPattern>,
    /// Where it begins when it is made; afterwards without meaning.
    pub start: Start,
    /// How long a record is lent without a sign of life.
    pub ack_wait: Duration,
}

/// A record lent to one consumer. Dropping it without settling means that it
/// is lent again after `ack_wait`, with the attempt raised.
#[derive(Debug)]
pub struct QueueDelivery {
    /// The record.
    pub record: Arc<Record>,
    /// Handbell's own count of deliveries, from 1.
    pub attempt: u32,
    /// The record was out when its holder was lost (crash, expiry): the
    /// consumer should hand such ones out one at a time, so that a record
    /// that kills its process doesn't take its neighbours with it.
    pub suspect: bool,
    /// What settles it.
    pub token: QueueToken,
}

/// What settles a lent record, once: settling takes it over.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct QueueToken {
    /// The record's place in the queue, as the backend counts.
    pub item: u64,
    /// Which lending of it this is.
    pub lease: u64,
}

/// How a lent record ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done.
    Ack,
    /// Not done: lend it again after `delay`.
    Nak {
        /// From now; zero for at once.
        delay: Duration,
        /// Whether the attempt counts. What was handed back unstarted doesn't.
        counted: bool,
    },
    /// Given up: don't lend it again.
    Term {
        /// Why, for an operator of the broker.
        reason: String,
    },
}

/// One consumer's end of a queue; several ends, in one process or many, share
/// the queue's records.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Waits until at least one record can be lent, and lends at most `max`.
    ///
    /// MUST lend the express lane's records before the regular lane's, and
    /// within a lane oldest first among those that wait. MUST NOT lend a
    /// record to two consumers at a time, except after its lease has ended.
    /// MUST keep the attempt through restarts: it is raised by a counted nak,
    /// by an expired lease and by a crash of the holder, by nothing else.
    /// MUST be cancel-safe: what a dropped call had lent is lent again without
    /// its attempt raised, or is handed out by the next call.
    ///
    /// # Errors
    /// Retryable ones lend nothing.
    async fn pull(&self, max: usize) -> Result<Vec<QueueDelivery>, BackendError>;

    /// Settles, and answers for each, in order, whether it had an effect:
    /// `false` when the lease had ended. MUST be durable before it answers.
    ///
    /// # Errors
    /// In doubt or unavailable: settle the same again, or let the lease end.
    async fn settle(&self, settlements: Vec<(QueueToken, Settlement)>) -> Result<Vec<bool>, BackendError>;

    /// Sets the end of each lease to now + `lease`, and answers for each
    /// whether it still ran.
    ///
    /// # Errors
    /// As for [`Queue::settle`].
    async fn extend(&self, tokens: &[(&QueueToken, Duration)]) -> Result<Vec<bool>, BackendError>;
}
