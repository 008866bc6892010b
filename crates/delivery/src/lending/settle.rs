//! The settler of one queue: lives while there is something to settle.
//!
//! One batch at a time, so that many verdicts become one write. What is stored
//! before a record is settled (its dead letter, or the timeout that its caller
//! is told) doesn't hold up the rest.

use std::{sync::Arc, time::Duration};

use handbell_backend::{Outgoing, PublishError, QueueToken, Settlement};
use handbell_protocol::event::Cause;

use super::{
    desk::{Before, Settling},
    hand_out::hand_back,
    shell::{Lending, OpenSource},
    verdicts::copy,
};
use crate::{Answer, ConsumerEvent, backoff::Backoff, dead_letter, publishing::publish};

/// The most that is settled in one call.
const BATCH: usize = 1_024;

/// When a dead letter that the backend refuses for good is looked at again:
/// what can't be buried isn't lost.
const UNBURIED: Duration = Duration::from_secs(30);

pub(super) async fn run(lending: Arc<Lending>, source: Arc<OpenSource>) {
    loop {
        let batch = lending.with(|desk| desk.take_settling(source.id, BATCH));
        let count = batch.len();
        if count > 0 {
            let (mut late, plain): (Vec<_>, Vec<_>) = batch.into_iter().partition(|settling| settling.before.is_some());
            tokio::join!(settle(&source, plain), async {
                store(&lending, &source, &mut late).await;
                settle(&source, late).await;
            });
            lending.with(|desk| desk.settled(source.id, count));
        } else if lending.settler_is_done(source.id) {
            return;
        }
    }
}

async fn settle(source: &OpenSource, batch: Vec<Settling>) {
    if batch.is_empty() {
        return;
    }
    let mut backoff = Backoff::new("settle");
    let effects = loop {
        let settlements: Vec<(QueueToken, Settlement)> =
            batch.iter().map(|settling| (copy(&settling.item), settling.settlement.clone())).collect();
        match source.queue.settle(settlements).await {
            Ok(effects) => break effects,
            Err(error) if error.is_retryable() => backoff.wait(&error).await,
            Err(error) => {
                tracing::error!(%error, queue = %source.receiver, "verdicts are lost; their leases will end");
                break vec![false; batch.len()];
            }
        }
    };
    backoff.worked();
    answer(batch, effects);
}

fn answer(batch: Vec<Settling>, effects: Vec<bool>) {
    let mut outbox = crate::post::Outbox::default();
    for (settling, effect) in batch.into_iter().zip(effects) {
        if let Some((post, token)) = settling.answer {
            outbox.add(&post, if effect { ConsumerEvent::Settled(token) } else { ConsumerEvent::Gone(token) });
        }
    }
    outbox.flush();
}

/// Stores dead letters and what callers are told, as often as it takes.
async fn store(lending: &Lending, source: &OpenSource, late: &mut [Settling]) {
    let mut left: Vec<&mut Settling> = late.iter_mut().collect();
    let mut backoff = Backoff::new("store dead letters and timeouts");
    while !left.is_empty() {
        let batch = left.iter().filter_map(|settling| outgoing(lending, source, settling)).collect();
        let results = publish(&*lending.around.backend, batch).await;
        let mut failed = None;
        let mut again = Vec::new();
        for (settling, result) in left.into_iter().zip(results) {
            match result {
                Ok(_) => {}
                Err(error) if dead_letter::is_final(&error) => unburied(settling, source, &error),
                Err(error) => {
                    failed = Some(error);
                    again.push(settling);
                }
            }
        }
        left = again;
        match failed {
            Some(error) => backoff.wait(&error).await,
            None => backoff.worked(),
        }
    }
}

fn outgoing(lending: &Lending, source: &OpenSource, settling: &Settling) -> Option<Outgoing> {
    let partitions = lending.around.backend.capabilities().partitions;
    settling.before.as_ref().map(|before| match before {
        Before::Buried(record, letter) => dead_letter::outgoing(record, &source.receiver, letter),
        Before::Unanswered(record, call) => call.conclusion(&Cause::of(&record.envelope), Answer::Timeout, partitions),
    })
}

fn unburied(settling: &mut Settling, source: &OpenSource, error: &PublishError) {
    tracing::error!(%error, queue = %source.receiver, "the backend refuses what was to be stored; the event stays in its queue");
    settling.settlement = hand_back(UNBURIED);
}
