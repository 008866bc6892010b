//! A queue that lies.

use std::time::Duration;

use async_trait::async_trait;
use handbell_backend::{BackendError, Queue, QueueDelivery, QueueToken, Settlement};
use handbell_protocol::Lane;

use super::Lie;

pub(super) struct LyingQueue {
    inner: Box<dyn Queue>,
    lie: Lie,
}

impl LyingQueue {
    pub(super) fn new(inner: Box<dyn Queue>, lie: Lie) -> Self {
        Self { inner, lie }
    }

    fn twist(&self, settlement: Settlement) -> Settlement {
        match (settlement, self.lie) {
            (Settlement::Nak { counted, .. }, Lie::DelayIgnored) => Settlement::Nak { delay: Duration::ZERO, counted },
            (Settlement::Nak { .. }, Lie::RedeliveryLost) => Settlement::Ack,
            (settlement, _) => settlement,
        }
    }
}

#[async_trait]
impl Queue for LyingQueue {
    async fn pull(&self, max: usize) -> Result<Vec<QueueDelivery>, BackendError> {
        let mut lent = self.inner.pull(max).await?;
        match self.lie {
            Lie::AttemptForgotten => lent.iter_mut().for_each(|delivery| delivery.attempt = 1),
            Lie::LanesIgnored => lent.sort_by_key(|delivery| delivery.record.position.lane == Lane::Express),
            Lie::CancelLoses => tokio::time::sleep(super::DAWDLE).await,
            _ => {}
        }
        Ok(lent)
    }

    async fn settle(&self, settlements: Vec<(QueueToken, Settlement)>) -> Result<Vec<bool>, BackendError> {
        let settlements = settlements.into_iter().map(|(token, how)| (token, self.twist(how))).collect();
        let mut effects = self.inner.settle(settlements).await?;
        if self.lie == Lie::LateSettlementCounts {
            effects.fill(true);
        }
        Ok(effects)
    }

    async fn extend(&self, tokens: &[(&QueueToken, Duration)]) -> Result<Vec<bool>, BackendError> {
        if self.lie == Lie::ExtendIgnored {
            return Ok(vec![true; tokens.len()]);
        }
        self.inner.extend(tokens).await
    }
}
