//! Storing records.

use std::{future::Future, pin::Pin, sync::Arc};

use handbell_protocol::{Envelope, Topic};

use crate::{Channel, Class, Headers, Partition, Position, PublishError};

/// A record to be stored.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// What kind of channel it goes to.
    pub class: Class,
    /// The channel's topic; its lane is the envelope's.
    pub topic: Topic,
    /// The partition, already chosen.
    pub partition: Partition,
    /// The event, complete.
    pub envelope: Arc<Envelope>,
    /// What Handbell says beside it.
    pub headers: Headers,
    /// By what a second storing of the same is recognised.
    pub dedup: Option<Dedup>,
}

impl Outgoing {
    /// The channel that it goes to.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Channel { class: self.class, lane: self.envelope.routing.lane(), topic: self.topic.clone() }
    }
}

/// By what a second storing of the same is recognised, within a namespace and
/// class: (producer, seq), a derived event ID, or (event, group, attempt).
/// Never an ID that an agent brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// The key; at most 600 bytes.
    pub key: String,
    /// A digest of the content; where the stored one differs, the publish is
    /// refused with [`PublishError::Conflict`]. `None`: the first stands,
    /// whatever its content.
    pub digest: Option<u64>,
}

/// Where an event is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it, or the first of its dedup key, lies.
    pub position: Position,
    /// The event's ID, or that of the first of its dedup key.
    pub id: String,
    /// Whether it had been stored before.
    pub duplicate: bool,
}

/// The broker's answers, in the order of the batch. Dropping it doesn't take
/// the publish back; the records are then in doubt.
pub type Receipts = Pin<Box<dyn Future<Output = Vec<Result<Stored, PublishError>>> + Send>>;
