//! Queues: how long a record is lent.

use std::time::Duration;

use handbell_backend::{QueueSpec, Settlement};

use crate::{
    Bench, Case, Outcome,
    case::case,
    fixture::{Lent, event, number, put_all, put_one, queue_spec, within},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Queue,
        a_lent_record_is_nobody_elses_until_its_lease_ends,
        "MUST NOT lend a record to two consumers at a time, except after its lease has ended."
    ),
    case!(
        Queue,
        what_is_dropped_unsettled_is_lent_again,
        "Dropping a delivery without settling means that it is lent again after ack_wait, with the attempt raised."
    ),
    case!(
        Queue,
        extend_keeps_a_record,
        "Extend sets the end of each lease to now + lease, and answers for each whether it still ran."
    ),
    case!(
        Queue,
        extend_shortens_a_lease_too,
        "Extend sets the end of each lease to now + lease, also earlier than it was."
    ),
    case!(
        Queue,
        a_late_settlement_has_no_effect,
        "Settle answers for each, in order, whether it had an effect: false when the lease had ended."
    ),
    case!(
        Queue,
        settlements_are_answered_in_order,
        "Settles, and answers for each, in order, whether it had an effect."
    ),
];

fn short(name: &str, ack_wait: Duration) -> Outcome<QueueSpec> {
    Ok(QueueSpec { ack_wait, ..queue_spec(name)? })
}

async fn a_lent_record_is_nobody_elses_until_its_lease_ends(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?).await?;
    let lease = bench.lease(Duration::from_secs(1));
    let spec = short("q", lease)?;
    let (one, two) = (Lent::open(&*backend, spec.clone()).await?, Lent::open(&*backend, spec).await?);
    let begun = tokio::time::Instant::now();
    let first = one.pull_one().await?;
    let second = two.pull_one().await?;
    let waited = begun.elapsed();
    let early = waited + Duration::from_millis(50) < lease;
    ensure!(!early, "lent to another after {waited:?} of a lease of {lease:?}");
    ensure_eq!((first.attempt, second.attempt), (1, 2), "attempts before and after the lease's end");
    two.ack(second).await?;
    one.nothing("it is acked").await
}

async fn what_is_dropped_unsettled_is_lent_again(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?).await?;
    let queue = Lent::open(&*backend, short("q", bench.lease(Duration::from_millis(500)))?).await?;
    for attempt in 1..=3 {
        let delivery = queue.pull_one().await?;
        ensure_eq!(delivery.attempt, attempt, "the attempt");
        ensure_eq!(delivery.suspect, attempt > 1, "whether attempt {attempt} is suspect");
        drop(delivery);
    }
    Ok(())
}

async fn extend_keeps_a_record(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, vec![event("t", 1)?.key("k"), event("t", 2)?.key("k")]).await?;
    let spec = short("q", bench.lease(Duration::from_secs(1)))?;
    let (one, two) = (Lent::open(&*backend, spec.clone()).await?, Lent::open(&*backend, spec).await?);
    let kept = one.pull_one().await?;
    ensure_eq!(number(&kept.record), 1, "the first");
    let extended = within("extend", one.0.extend(&[(&kept.token, Duration::from_secs(600))])).await??;
    ensure_eq!(extended, [true], "a lease that runs is extended");
    // The other runs out in the meantime and shows that a lease of this queue has ended.
    let first = two.pull_one().await?;
    ensure_eq!(number(&first.record), 2, "what is left");
    let again = two.pull_one().await?;
    ensure_eq!((number(&again.record), again.attempt), (2, 2), "what runs out");
    two.ack(again).await?;
    two.nothing("number 1 is extended").await?;
    one.ack(kept).await
}

async fn extend_shortens_a_lease_too(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?).await?;
    let (one, two) = (Lent::open(&*backend, queue_spec("q")?).await?, Lent::open(&*backend, queue_spec("q")?).await?);
    let kept = one.pull_one().await?;
    let extended = within("extend", one.0.extend(&[(&kept.token, Duration::from_millis(300))])).await??;
    ensure_eq!(extended, [true], "a lease that runs is extended");
    let again = two.pull_one().await?;
    ensure_eq!(again.attempt, 2, "the attempt after a lease that was shortened");
    let late = within("extend", one.0.extend(&[(&kept.token, Duration::from_secs(600))])).await??;
    ensure_eq!(late, [false], "a lease that has ended is not extended");
    two.ack(again).await
}

async fn a_late_settlement_has_no_effect(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?).await?;
    let queue = Lent::open(&*backend, short("q", bench.lease(Duration::from_millis(500)))?).await?;
    for late in [
        Settlement::Ack,
        Settlement::Nak { delay: Duration::from_secs(600), counted: true },
        Settlement::Term { reason: "too late".into() },
    ] {
        let old = queue.pull_one().await?;
        let new = queue.pull_one().await?;
        let text = format!("{late:?}");
        ensure!(!queue.settle(old, late).await?, "{text} had an effect after the lease had ended");
        let extended = within("extend", queue.0.extend(&[(&new.token, Duration::from_secs(60))])).await??;
        ensure_eq!(extended, [true], "the new lease, after a late {text}");
        queue.nak(new, Duration::ZERO, false).await?;
    }
    Ok(())
}

async fn settlements_are_answered_in_order(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, (0..6).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let lent = queue.pull_all(6).await?;
    let ended = [(&lent[1].token, Duration::ZERO), (&lent[4].token, Duration::ZERO)];
    within("extend", queue.0.extend(&ended)).await??;
    // Lent again: these two leases have ended for sure.
    let again = queue.pull_all(2).await?;
    ensure!(again.iter().all(|delivery| delivery.attempt == 2), "the attempts after two leases had ended");
    let all = lent.into_iter().map(|delivery| (delivery.token, Settlement::Ack)).collect();
    let answers = within("settlements", queue.0.settle(all)).await??;
    ensure_eq!(answers, [true, false, true, true, false, true], "which had an effect");
    Ok(())
}
