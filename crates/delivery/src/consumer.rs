//! What a consumer is told and what it answers, whatever it consumes.

use std::{sync::Arc, time::Duration};

use handbell_backend::{BackendError, Record, Trimmed};
pub use handbell_groups::{Leave, Token, Verdict};
use handbell_protocol::{
    Segment, TopicPattern,
    frame::{From, Order, RetryPolicy},
};

/// Which of a session's consumers an event is for; the session chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerKey(pub u32);

/// What a consumer is told.
#[derive(Clone, Debug)]
pub enum ConsumerEvent {
    /// A record is handed out and uses one credit.
    Deliver(Delivered),
    /// A verdict is durable.
    Settled(Token),
    /// A verdict had no effect: the lease had ended, or it was settled before.
    Gone(Token),
    /// The lease has ended (expiry, takeover): the credit is free again, a
    /// later verdict is `Gone`.
    Revoked(Token),
    /// Retention removed what had not been read.
    Gap(Trimmed),
    /// Everything that was there at the beginning has been handed out; only
    /// for fan-outs and groups that were asked for it, once.
    Level,
}

/// A record, handed out.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What settles it.
    pub token: Token,
    /// The event.
    pub record: Arc<Record>,
    /// Which delivery of it this is, from 1.
    pub attempt: u32,
    /// The same for all attempts: of (event ID, receiver).
    pub idempotency_key: Arc<str>,
}

/// A durable group as `subscribe` asks for it; what is `None` means the
/// stored setting, or the default where the group is made now.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// The group.
    pub group: Segment,
    /// Its topics.
    pub topics: Vec<TopicPattern>,
    /// Its filter's source; `Some("")` is no filter.
    pub filter: Option<String>,
    /// Whether it keeps order.
    pub order: Option<Order>,
    /// How long a delivery is lent without a sign of life.
    pub ack_wait: Option<Duration>,
    /// How failures are tried again.
    pub retry: Option<RetryPolicy>,
    /// Where it begins; counts only when it is made.
    pub from: From,
}

/// Why a consumer can't join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The group exists with another setting.
    #[error("group {group} exists with another {field}: stored {stored}, asked for {asked}")]
    Mismatch {
        /// The group.
        group: Segment,
        /// The setting's name.
        field: &'static str,
        /// What is stored.
        stored: String,
        /// What was asked for.
        asked: String,
    },
    /// The filter can't be read.
    #[error("the filter can't be read: {0}")]
    BadFilter(String),
    /// `from` names no position.
    #[error(transparent)]
    BadPosition(#[from] handbell_backend::BadPosition),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why an event became a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The failure's class: as nacked, or `rejected`, `timeout`, `lost`.
    pub class: String,
    /// For a person.
    pub reason: String,
    /// How often it was delivered.
    pub attempts: u32,
}
