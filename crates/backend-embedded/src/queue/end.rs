//! One consumer's end of a queue.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use handbell_backend::{BackendError, Queue, QueueDelivery, QueueToken, Settlement};
use tokio::sync::Notify;

use super::{
    QueueShared,
    core::later,
    jobs::{Lend, Settle},
};
use crate::{engine::Engine, error::closed, keeper::Keeper};

/// How many records one pull lends at most.
const MAX_PULL: usize = 1_024;

/// A consumer. It keeps the log open.
pub(crate) struct QueueEnd {
    engine: Arc<Engine>,
    shared: Arc<QueueShared>,
    ack_wait: Duration,
    _keeper: Arc<Keeper>,
}

impl QueueEnd {
    pub(super) fn new(keeper: Arc<Keeper>, engine: Arc<Engine>, shared: Arc<QueueShared>, ack_wait: Duration) -> Self {
        Self { engine, shared, ack_wait, _keeper: keeper }
    }

    async fn lend(&self, max: usize) -> Result<Vec<QueueDelivery>, BackendError> {
        let (engine, queue) = (Arc::clone(&self.engine), Arc::clone(&self.shared));
        let job = |to| Box::new(Lend::new(engine, queue, max, self.ack_wait, to)) as _;
        Ok(self.engine.call("lend records", 0, job).await?.into_deliveries())
    }

    /// Waits for what `rung` was asked for, a time that is due, or the end.
    async fn something_new(&self, rung: impl Future<Output = ()>) {
        let next = self.shared.core().next_event();
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = rung => {}
            () = due => {}
            () = self.engine.closing() => {}
        }
    }
}

#[async_trait]
impl Queue for QueueEnd {
    async fn pull(&self, max: usize) -> Result<Vec<QueueDelivery>, BackendError> {
        let max = max.clamp(1, MAX_PULL);
        let _next = WakeNext(&self.shared.notify);
        loop {
            // Before the look, so that nothing is missed between the two.
            let mut rung = pin!(self.shared.notify.notified());
            rung.as_mut().enable();
            if self.engine.is_closing() {
                return Err(closed("pull from a queue"));
            }
            if self.shared.prepare(&self.engine, max).await? {
                let lent = self.lend(max).await?;
                if !lent.is_empty() {
                    return Ok(lent);
                }
            } else {
                self.something_new(rung).await;
            }
        }
    }

    async fn settle(&self, settlements: Vec<(QueueToken, Settlement)>) -> Result<Vec<bool>, BackendError> {
        let (queue, clock) = (Arc::clone(&self.shared), &self.engine.options.clock);
        let job = |to| Box::new(Settle::new(queue, settlements, clock, to)) as _;
        self.engine.call("settle records", 0, job).await
    }

    async fn extend(&self, tokens: &[(&QueueToken, Duration)]) -> Result<Vec<bool>, BackendError> {
        if self.engine.is_closing() {
            return Err(closed("extend leases"));
        }
        let now = Instant::now();
        let mut core = self.shared.core();
        let extended =
            tokens.iter().map(|(token, lease)| core.extend(token.item, token.lease, now, later(now, *lease)));
        Ok(extended.collect())
    }
}

/// Wakes the other consumers when this one's pull ends, however it ends: what
/// it left, and the ends of the leases that it took, are theirs to look at.
struct WakeNext<'a>(&'a Notify);

impl Drop for WakeNext<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}
