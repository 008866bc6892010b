//! What lies in a log: an envelope and what Handbell says beside it.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use handbell_protocol::{Envelope, Topic};
use serde::{Deserialize, Serialize};

use crate::Position;

/// A stored event.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it lies.
    pub position: Position,
    /// The channel's topic; for class `ev` also `envelope.routing.topic`.
    pub topic: Topic,
    /// The event, complete, its payload byte for byte.
    pub envelope: Arc<Envelope>,
    /// What Handbell says beside it.
    pub headers: Headers,
}

/// Handbell's own words beside an event, as broker headers. Most events have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<Cow<'static, str>, String>);

impl Headers {
    /// The value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Puts `value` under `name`, in place of what was there.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(Cow::Borrowed(name), value.into());
    }

    /// The same with `value` under `name`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Takes away what is under `name`.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }
}

/// The names of Handbell's headers. At most 128 bytes a name; values are
/// printable text.
pub mod header {
    /// RFC 3339: after that instant the record is dropped and counted.
    pub const EXPIRY: &str = "expirytime";
    /// The call that expects an answer.
    pub const CALL: &str = "hb-call";
    /// The agent that called, to whom the answer goes.
    pub const REPLY_TO: &str = "hb-reply-to";
    /// The producer that called: the session that should get the answer.
    pub const CALLER: &str = "hb-caller";
    /// What stands in where nobody answers in time: JSON.
    pub const DEFAULT: &str = "hb-default";
    /// How an answer ended: `ok`, `error`, `timeout`, `no_responders`,
    /// `cancelled` or `default`.
    pub const STATUS: &str = "hb-status";
    /// In the retry channel: when it comes again, milliseconds since 1970.
    pub const DUE: &str = "hb-due";
    /// In the retry channel: the attempt that has failed.
    pub const ATTEMPT: &str = "hb-attempt";
    /// In the retry channel and the DLQ: where the event lay first.
    pub const ORIGIN: &str = "hb-origin";
    /// In the DLQ: the topic on which it failed.
    pub const DLQ_TOPIC: &str = "__dlq.errors.topic";
    /// In the DLQ: the partition in which it failed.
    pub const DLQ_PARTITION: &str = "__dlq.errors.partition";
    /// In the DLQ: its offset there.
    pub const DLQ_OFFSET: &str = "__dlq.errors.offset";
    /// In the DLQ: the group, or the queue, that failed.
    pub const DLQ_GROUP: &str = "__dlq.errors.group";
    /// In the DLQ: how often it was delivered.
    pub const DLQ_COUNT: &str = "__dlq.errors.delivery.count";
    /// In the DLQ: the last reason.
    pub const DLQ_MESSAGE: &str = "__dlq.errors.message";
    /// In the DLQ: the last failure's class.
    pub const DLQ_CLASS: &str = "hb-class";
}
