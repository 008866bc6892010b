//! Queues: what comes again, when, and what it counts.

use std::time::Duration;

use handbell_backend::QueueSpec;
use tokio::time::Instant;

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Lent, event, number, numbers_lent, put_all, put_one, queue_spec},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Queue,
        a_counted_nak_raises_the_attempt_and_an_uncounted_one_does_not,
        "MUST keep the attempt: it is raised by a counted nak, by an expired lease and by a crash of the holder, by nothing else."
    ),
    case!(
        Queue,
        a_nak_comes_again_after_its_delay_and_not_before,
        "Nak: not done, lend it again after delay from now; zero for at once."
    ),
    case!(
        Queue,
        a_delayed_record_holds_up_no_other,
        "A delay is one record's: the others that wait are lent meanwhile."
    ),
    case!(
        Queue,
        a_delay_survives_a_restart,
        "The queue's state is kept: a delayed record comes again after a restart, and not before its time."
    )
    .needs(&[Need::Reopen]),
    case!(
        Queue,
        attempts_survive_a_crash_and_blame_no_neighbour,
        "MUST keep the attempt through restarts: what was out at a crash is suspect and counts one more, what waited does not."
    )
    .schedules(&[22])
    .needs(&[Need::Crash]),
];

async fn a_counted_nak_raises_the_attempt_and_an_uncounted_one_does_not(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?).await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let mut attempt = 1;
    for counted in [true, false, false, true, true, false] {
        let delivery = queue.pull_one().await?;
        ensure_eq!(delivery.attempt, attempt, "the attempt");
        ensure!(!delivery.suspect, "a record whose holder gave it back is suspect");
        queue.nak(delivery, Duration::ZERO, counted).await?;
        attempt += u32::from(counted);
    }
    ensure_eq!(queue.pull_one().await?.attempt, 4, "the attempt after three counted naks");
    Ok(())
}

async fn a_nak_comes_again_after_its_delay_and_not_before(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    put_one(&*backend, event("t", 1)?).await?;
    // Short and long: brokers treat them differently.
    for delay in [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(2_100)] {
        let delivery = queue.pull_one().await?;
        let begun = Instant::now();
        queue.nak(delivery, delay, false).await?;
        let again = queue.pull_one().await?;
        let waited = begun.elapsed();
        // The broker may cut a due time to milliseconds.
        ensure!(waited + Duration::from_millis(5) >= delay, "lent again after {waited:?}, delayed by {delay:?}");
        queue.nak(again, Duration::ZERO, false).await?;
    }
    Ok(())
}

async fn a_delayed_record_holds_up_no_other(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, (0..10).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    for delivery in queue.pull_all(5).await? {
        let delay = if number(&delivery.record) == 0 { Duration::ZERO } else { Duration::from_secs(600) };
        queue.nak(delivery, delay, true).await?;
    }
    put_one(&*backend, event("t", 10)?.key("k")).await?;
    let mut lent = numbers_lent(&queue.pull_all(7).await?);
    lent.sort_unstable();
    ensure_eq!(lent, [0, 5, 6, 7, 8, 9, 10], "what is lent while four are delayed");
    queue.nothing("four are delayed").await
}

async fn a_delay_survives_a_restart(bench: Bench) -> Outcome {
    const DELAY: Duration = Duration::from_millis(2_100);
    let backend = bench.open().await?;
    put_one(&*backend, event("t", 1)?).await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let delivery = queue.pull_one().await?;
    let begun = Instant::now();
    queue.nak(delivery, DELAY, true).await?;
    drop((queue, backend));
    let backend = bench.reopen().await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let again = queue.pull_one().await?;
    let waited = begun.elapsed();
    ensure!(waited + Duration::from_millis(5) >= DELAY, "lent again after {waited:?}, delayed by {DELAY:?}");
    ensure_eq!((again.attempt, again.suspect), (2, false), "the attempt, and whether it is suspect");
    Ok(())
}

async fn attempts_survive_a_crash_and_blame_no_neighbour(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    put_all(&*backend, (0..6).map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?).await?;
    let spec = QueueSpec { ack_wait: bench.lease(Duration::from_secs(1)), ..queue_spec("q")? };
    let queue = Lent::open(&*backend, spec.clone()).await?;
    for delivery in queue.pull_all(6).await? {
        match number(&delivery.record) {
            // Counted, given back, acked; the others are out at the crash.
            0 => queue.nak(delivery, Duration::ZERO, true).await?,
            1 => queue.nak(delivery, Duration::ZERO, false).await?,
            2 => queue.ack(delivery).await?,
            _ => {}
        }
    }
    let backend = bench.crash().await?;
    let queue = Lent::open(&*backend, spec).await?;
    let mut rows: Vec<_> = queue.pull_all(5).await?.iter().map(|d| (number(&d.record), d.attempt, d.suspect)).collect();
    rows.sort_unstable();
    let expected = [(0, 2, false), (1, 1, false), (3, 2, true), (4, 2, true), (5, 2, true)];
    ensure_eq!(rows, expected, "number, attempt and whether it is suspect, after a crash");
    Ok(())
}
