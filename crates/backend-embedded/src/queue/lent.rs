//! Deliveries on their way from the writer to a consumer: if the consumer has
//! gone, they go back, uncounted.

use std::{sync::Arc, time::Duration};

use handbell_backend::{QueueDelivery, QueueToken, Settlement};
use tokio::sync::oneshot;

use super::{QueueShared, core::Taken, jobs::Settle};
use crate::engine::Engine;

/// Lendings that nobody has taken over yet.
pub(crate) struct Lent {
    engine: Arc<Engine>,
    queue: Arc<QueueShared>,
    taken: Vec<Taken>,
}

impl Lent {
    pub(super) fn new(engine: Arc<Engine>, queue: Arc<QueueShared>, taken: Vec<Taken>) -> Self {
        Self { engine, queue, taken }
    }

    /// Takes them over.
    pub(super) fn into_deliveries(mut self) -> Vec<QueueDelivery> {
        let deliver = |taken: Taken| QueueDelivery {
            attempt: taken.item.attempt,
            suspect: taken.item.suspect,
            token: QueueToken { item: taken.offset(), lease: taken.lease },
            record: taken.record,
        };
        std::mem::take(&mut self.taken).into_iter().map(deliver).collect()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let back = Settlement::Nak { delay: Duration::ZERO, counted: false };
        let token = |taken: &Taken| QueueToken { item: taken.offset(), lease: taken.lease };
        let settlements = self.taken.iter().map(|taken| (token(taken), back.clone())).collect();
        let (to, _) = oneshot::channel();
        let settle = Settle::new(Arc::clone(&self.queue), settlements, &self.engine.options.clock, to);
        // Where the log is closing, what is out is shelved uncounted anyway.
        if self.engine.inbox.push_now(Box::new(settle)).is_err() {
            tracing::debug!("the log closed before a dropped pull's records went back");
        }
    }
}
