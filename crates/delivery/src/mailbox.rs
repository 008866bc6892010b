//! Where a session's consumers leave what they have for it.
//!
//! One wake-up for many events. Bounded by what is handed out: a consumer
//! never has more than its credit, and never more than
//! [`Mailbox::MAX_OUTSTANDING`], unsettled.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::{ConsumerEvent, ConsumerKey};

/// The way from consumers to the session that owns them. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    events: Mutex<Vec<(ConsumerKey, ConsumerEvent)>>,
    arrived: Notify,
}

impl Mailbox {
    /// The most deliveries that one consumer may have unsettled, whatever its
    /// credit says: keeps the mailbox bounded.
    pub const MAX_OUTSTANDING: u32 = 1_024;

    /// Leaves events for the session; never waits.
    pub fn push(&self, key: ConsumerKey, events: impl IntoIterator<Item = ConsumerEvent>) {
        let mut events = events.into_iter().map(|event| (key, event)).peekable();
        if events.peek().is_none() {
            return;
        }
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
        self.0.arrived.notify_one();
    }

    /// Takes what is there.
    #[must_use]
    pub fn try_take(&self) -> Vec<(ConsumerKey, ConsumerEvent)> {
        std::mem::take(&mut *self.0.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something, and takes all of it. Cancel-safe.
    pub async fn take(&self) -> Vec<(ConsumerKey, ConsumerEvent)> {
        loop {
            let arrived = self.0.arrived.notified();
            let events = self.try_take();
            if !events.is_empty() {
                return events;
            }
            arrived.await;
        }
    }
}
