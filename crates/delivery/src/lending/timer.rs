//! The desk's timer: ends leases, and renews them with the backend while
//! they run.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use handbell_backend::QueueToken;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use super::{
    desk::Renewal,
    shell::{Lending, OpenSource},
};
use crate::{Token, backoff::Backoff};

/// Runs until the desk is gone. Sleeps without a deadline while nothing is lent.
pub(super) async fn run(desk: Weak<Lending>, woken: Arc<Notify>) {
    loop {
        let Some(lending) = desk.upgrade() else { return };
        let next = turn(&lending);
        drop(lending);
        match next {
            Some(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = woken.notified() => {}
            },
            None => woken.notified().await,
        }
    }
}

fn turn(lending: &Arc<Lending>) -> Option<Instant> {
    let (due, next) = lending.tick(Instant::now());
    for renewal in due {
        renew_soon(lending, renewal);
    }
    next
}

fn renew_soon(lending: &Arc<Lending>, renewal: Renewal) {
    let Renewal { source, ack_wait, items } = renewal;
    let Some(source) = lending.source(source) else { return };
    let desk = Arc::clone(lending);
    lending.spawn(async move {
        // Beyond that the next renewal is due.
        if timeout(ack_wait / 3, renew(&desk, &source, ack_wait, &items)).await.is_err() {
            tracing::warn!(queue = %source.receiver, "leases were not renewed in time");
        }
    });
}

async fn renew(lending: &Arc<Lending>, source: &OpenSource, ack_wait: Duration, items: &[(Token, QueueToken)]) {
    let mut backoff = Backoff::new("renew leases");
    let leases: Vec<_> = items.iter().map(|(_, item)| (item, ack_wait)).collect();
    loop {
        match source.queue.extend(&leases).await {
            Ok(running) => {
                backoff.worked();
                let ended = items.iter().zip(running).filter(|(_, running)| !running).map(|((token, _), _)| *token);
                return lending.with(|desk| ended.for_each(|token| desk.taken_away(token)));
            }
            Err(error) => backoff.wait(&error).await,
        }
    }
}
