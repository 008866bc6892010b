//! The puller of one queue: takes what its consumers have credit for.

use std::{sync::Arc, time::Duration};

use handbell_backend::{BackendError, Fault, QueueDelivery};
use handbell_protocol::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    demand::Demand,
    hand_out::Scene,
    shell::{Lending, OpenSource},
};
use crate::backoff::Backoff;

/// A queue from which nothing comes for that long is level: a backend's
/// queue doesn't tell more.
const LEVEL_QUIET: Duration = Duration::from_millis(300);

/// Runs until the queue has no consumers.
pub(super) async fn run(lending: Arc<Lending>, source: Arc<OpenSource>) {
    let mut backoff = Backoff::new("pull from a queue");
    loop {
        match demand(&lending, &source) {
            Demand::Closed => break,
            Demand::Wait(None) => source.wake.notified().await,
            Demand::Wait(Some(until)) => tokio::select! {
                () = source.wake.notified() => {}
                () = sleep_until(until.into()) => {}
            },
            Demand::Pull(max) => match pull(&lending, &source, max).await {
                Ok(deliveries) => {
                    backoff.worked();
                    take(&lending, &source, deliveries);
                }
                Err(error) if error.fault == Fault::Closed => break,
                Err(error) => backoff.wait(&error).await,
            },
        }
    }
    lending.puller_is_done(source.id);
}

fn demand(lending: &Arc<Lending>, source: &OpenSource) -> Demand {
    let now = Instant::now().into_std();
    lending.with(|desk| desk.demand(source.id, now))
}

/// Waits for records, or until nobody can take any: what a dropped pull had
/// lent counts for nothing.
async fn pull(lending: &Arc<Lending>, source: &OpenSource, max: usize) -> Result<Vec<QueueDelivery>, BackendError> {
    tokio::select! {
        biased;
        pulled = source.queue.pull(max) => pulled,
        () = watch_demand(lending, source) => Ok(Vec::new()),
    }
}

async fn watch_demand(lending: &Arc<Lending>, source: &OpenSource) {
    loop {
        if lending.with(|desk| desk.wants_level(source.id)) {
            tokio::select! {
                () = source.wake.notified() => {}
                () = sleep(LEVEL_QUIET) => lending.with(|desk| desk.level(source.id)),
            }
        } else {
            source.wake.notified().await;
        }
        if !matches!(demand(lending, source), Demand::Pull(_)) {
            return;
        }
    }
}

fn take(lending: &Arc<Lending>, source: &OpenSource, deliveries: Vec<QueueDelivery>) {
    if deliveries.is_empty() {
        return;
    }
    let around = &lending.around;
    let sifted: Vec<_> = deliveries
        .into_iter()
        .map(|delivery| {
            let passes = source.sieve.passes(&delivery.record.envelope, &around.counters);
            (delivery, passes)
        })
        .collect();
    let view = (around.views)();
    let scene = Scene { now: Instant::now().into_std(), wall: Timestamp::now(), view: &view, member: &around.member };
    lending.with(|desk| desk.pulled(source.id, sifted, scene));
}
