//! Competing consumers without order: one end of a queue, over the durable
//! consumers of both lanes.
//!
//! A lease is kept by the end that lent: when it is over it gives the record
//! back to the broker. The broker's own wait, which is a little longer, is for
//! ends that are lost.

mod consumer;
mod fetcher;
mod notes;
mod settle;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use handbell_backend::{BackendError, Class, Fault, Queue, QueueDelivery, QueueSpec, QueueToken, Settlement};
use handbell_protocol::Lane;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{core::Core, error::closed, filters::Wanted};
use fetcher::Fetcher;
use state::State;

const DOING: &str = "pull from a queue";

/// One consumer's end. Dropping it gives back what nobody has taken.
pub(crate) struct NatsQueue {
    end: Arc<End>,
    _ended: DropGuard,
}

/// What an end and its task share.
pub(super) struct End {
    core: Arc<Core>,
    spec: QueueSpec,
    state: Mutex<State>,
    /// There may be something to fetch or to end.
    work: Notify,
    /// There may be something to lend.
    ready: Notify,
}

impl NatsQueue {
    pub(crate) async fn open(core: &Arc<Core>, spec: QueueSpec) -> Result<Self, BackendError> {
        if spec.class == Class::Shared {
            let why = "there are no queues over class shared; its events come through class ev";
            return Err(BackendError::new(Fault::Refused, format!("open queue {}", spec.name), why));
        }
        let partitions = || core.options.partitions.iter();
        let wanted = Lane::ALL.map(|lane| Wanted::new(core, core.stream(spec.class, lane), &spec.topics, partitions()));
        for (lane, wanted) in Lane::ALL.into_iter().zip(&wanted) {
            consumer::ensure(core, &spec, lane, wanted).await?;
        }
        let end = Arc::new(End {
            core: Arc::clone(core),
            spec,
            state: Mutex::default(),
            work: Notify::new(),
            ready: Notify::new(),
        });
        let ended = CancellationToken::new();
        core.tasks.spawn(Fetcher::new(Arc::clone(&end), wanted).run(ended.clone()));
        Ok(Self { end, _ended: ended.drop_guard() })
    }
}

impl End {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn class(&self) -> Class {
        self.spec.class
    }

    fn ack_wait(&self) -> Duration {
        self.spec.ack_wait
    }

    /// What can be lent now; else what can't be helped.
    fn lend(&self, max: usize) -> Result<Vec<QueueDelivery>, BackendError> {
        let mut state = self.state();
        match &state.failed {
            Some(why) => Err(BackendError::new(Fault::Corrupt, DOING, why.clone())),
            None => Ok(state.lend(max, Instant::now(), self.spec.ack_wait)),
        }
    }
}

/// A call that waits.
struct Waiting<'a> {
    end: &'a End,
}

impl<'a> Waiting<'a> {
    fn begin(end: &'a End, max: usize) -> Self {
        let mut state = end.state();
        state.waiting += 1;
        state.wanted = if state.waiting == 1 { max } else { state.wanted.max(max) };
        drop(state);
        end.work.notify_one();
        Self { end }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.end.state();
        state.waiting -= 1;
        let left = state.waiting == 0 && state.has_ready();
        let others = state.waiting > 0 && state.has_ready();
        drop(state);
        if left {
            self.end.work.notify_one();
        }
        if others {
            self.end.ready.notify_one();
        }
    }
}

#[async_trait]
impl Queue for NatsQueue {
    async fn pull(&self, max: usize) -> Result<Vec<QueueDelivery>, BackendError> {
        let end = &*self.end;
        let max = max.max(1);
        end.core.open(DOING)?;
        let _waiting = Waiting::begin(end, max);
        loop {
            let ready = end.ready.notified();
            let lent = end.lend(max)?;
            if !lent.is_empty() {
                // Their leases have ends.
                end.work.notify_one();
                return Ok(lent);
            }
            tokio::select! {
                biased;
                () = end.core.closing.cancelled() => return Err(closed(DOING)),
                () = ready => {}
            }
        }
    }

    async fn settle(&self, settlements: Vec<(QueueToken, Settlement)>) -> Result<Vec<bool>, BackendError> {
        settle::settle(&self.end, settlements).await
    }

    async fn extend(&self, tokens: &[(&QueueToken, Duration)]) -> Result<Vec<bool>, BackendError> {
        settle::extend(&self.end, tokens).await
    }
}
