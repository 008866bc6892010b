//! Tens of thousands of events under concurrent groups whose members come and go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use handbell_delivery::{ConsumerEvent, Delivered, GroupSettings, Leave, Token, Verdict};
use handbell_protocol::{
    Priority,
    frame::{Order, RetryPolicy},
};
use tokio::sync::watch;

use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Draft, Hand, Ledger, ack, bounded, event, group, nack, number, put_all},
};

pub(super) const CASES: &[Case] = &[case!(
    Volume,
    twenty_thousand_events_under_four_groups_whose_members_come_and_go,
    "Nothing is lost, order per key is kept, and no ack counts twice, under load and while members come and go."
)];

const EVENTS: u64 = 20_000;
const KEYS: u64 = 400;

/// How long the whole may take: ends what hangs.
const LIMIT: Duration = Duration::from_secs(200);

/// One group's work: its ledger, and whether it is done.
struct Shift {
    settings: GroupSettings,
    ledger: Mutex<Ledger>,
    finished: watch::Sender<bool>,
}

async fn twenty_thousand_events_under_four_groups_whose_members_come_and_go(bench: Bench) -> Outcome {
    let mut shifts = vec![];
    for (name, order) in [("a", Order::Key), ("b", Order::Key), ("c", Order::None), ("d", Order::Key)] {
        // A guest that is lost counts an attempt: nothing may run out of them.
        let retry = RetryPolicy { max_retries: 1_000, initial_delay: Duration::ZERO, ..RetryPolicy::default() };
        let settings = GroupSettings { order: Some(order), retry: Some(retry), ..group(name, &["load.*"])? };
        let (ledger, finished) = (Mutex::default(), watch::Sender::new(false));
        shifts.push(Arc::new(Shift { settings, ledger, finished }));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for shift in &shifts {
        tasks.spawn(stay(bench.clone(), Arc::clone(shift)));
        tasks.spawn(come_and_go(bench.clone(), Arc::clone(shift)));
    }
    tasks.spawn(publish(bench.clone()));
    let finished = async {
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Outcome::Ok(())
    };
    if let Some(outcome) = bounded(LIMIT, finished).await {
        return outcome;
    }
    let done: Vec<_> = shifts.iter().map(|shift| shift.ledger().done()).collect();
    Err(Failure::new(format!("of {EVENTS} events the groups have done {done:?}")))
}

/// Four writers, each with keys of its own, both lanes.
async fn publish(bench: Bench) -> Outcome {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let backend = bench.open().await?;
        writers.spawn(async move {
            let numbers = (0..EVENTS).filter(|n| n % KEYS % 4 == writer);
            put_all(&*backend, numbers.map(draft).collect::<Outcome<_>>()?).await.map(drop)
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    Ok(())
}

fn draft(n: u64) -> Outcome<Draft> {
    let key = n % KEYS;
    // A key stays in its lane: order holds within one.
    let priority = if key.is_multiple_of(10) { Priority::High } else { Priority::Normal };
    Ok(event(&format!("load.t{}", key % 3), n)?.key(&format!("k{key}")).priority(priority))
}

/// A member that is there until everything is done.
async fn stay(bench: Bench, shift: Arc<Shift>) -> Outcome {
    let member = bench.member().await?;
    let hand = Hand::group(&member, shift.settings.clone(), 128).await?;
    let mut finished = shift.finished.subscribe();
    shift.work(hand, async move { drop(finished.wait_for(|done| *done).await) }).await?;
    member.leave().await;
    Ok(())
}

/// Members that work for a while and leave: on purpose, or lost with what
/// they have in their hands.
async fn come_and_go(bench: Bench, shift: Arc<Shift>) -> Outcome {
    let mut finished = shift.finished.subscribe();
    for round in 0_u32.. {
        if *finished.borrow_and_update() {
            break;
        }
        let member = bench.member().await?;
        let hand = Hand::group(&member, shift.settings.clone(), 32).await?;
        let mut end = shift.finished.subscribe();
        let hand = shift
            .work(hand, async move {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(700)) => {}
                    _ = end.wait_for(|done| *done) => {}
                }
            })
            .await?;
        hand.leave(if round % 2 == 0 { Leave::Clean } else { Leave::Lost });
        member.leave().await;
    }
    Ok(())
}

impl Shift {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict on a delivery: some fail once.
    fn judge(&self, delivered: &Delivered) -> Outcome<(Token, Verdict)> {
        let n = number(&delivered.record);
        let key = match self.settings.order {
            Some(Order::Key) => delivered.record.envelope.routing.partition_key.as_deref(),
            _ => None,
        };
        let mut ledger = self.ledger();
        ledger.delivered(key, n)?;
        if n.is_multiple_of(97) && delivered.attempt == 1 {
            return Ok(nack(delivered));
        }
        ledger.answering(n);
        Ok(ack(delivered))
    }

    /// An ack is durable; the last one ends the shift.
    fn count(&self, number: Option<u64>) -> Outcome {
        let Some(number) = number else { return Ok(()) };
        let mut ledger = self.ledger();
        ledger.settled(number)?;
        if ledger.done() as u64 == EVENTS {
            self.finished.send_replace(true);
        }
        Ok(())
    }

    /// Works until `end`, then waits for the answers to what was said.
    async fn work(&self, mut hand: Hand, end: impl Future<Output = ()> + Send) -> Outcome<Hand> {
        let (mut end, mut ended) = (std::pin::pin!(end), false);
        let mut acked = HashMap::new();
        while !ended || !acked.is_empty() {
            let event = tokio::select! {
                biased;
                () = &mut end, if !ended => {
                    ended = true;
                    continue;
                }
                event = hand.event() => event,
            };
            match event {
                ConsumerEvent::Deliver(delivered) if !ended => {
                    let verdict = self.judge(&delivered)?;
                    if verdict.1 == Verdict::Ack {
                        acked.insert(delivered.token, number(&delivered.record));
                    }
                    hand.consumer.settle(vec![verdict]);
                }
                ConsumerEvent::Settled(token) => self.count(acked.remove(&token))?,
                ConsumerEvent::Gone(token) => drop(acked.remove(&token)),
                ConsumerEvent::Gap(trimmed) => return Err(Failure::new(format!("nothing was removed: {trimmed:?}"))),
                ConsumerEvent::Deliver(_) | ConsumerEvent::Revoked(_) | ConsumerEvent::Level => {}
            }
        }
        Ok(hand)
    }
}
