//! The whole process is killed.

use std::{collections::BTreeSet, time::Duration};

use handbell_delivery::{GroupSettings, Member};
use handbell_protocol::frame::{From, Order};

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Crew, Hand, event, group, nack, nack_in, number, put_all, put_one},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Faults,
        what_was_settled_stays_settled_after_a_crash,
        "Settled is told once it is stored: what was settled never comes again."
    )
    .needs(&[Need::Crash]),
    case!(
        Faults,
        attempts_survive_a_crash_and_are_raised_once,
        "A crash raises the attempt of what was out, durably, and once."
    )
    .needs(&[Need::Crash]),
    case!(
        Faults,
        a_pill_is_given_up_and_none_of_its_neighbours,
        "After an unclean takeover the unsettled are handed out one at a time, the attempt stored first: a pill that kills its process is counted and its neighbours aren't blamed."
    )
    .schedules(&[23])
    .needs(&[Need::Crash]),
    case!(
        Faults,
        without_order_a_pill_is_given_up_and_none_of_its_neighbours,
        "In a queue what was out at a crash is suspect and is handed out alone: a pill that kills its process takes no neighbour with it."
    )
    .schedules(&[23])
    .needs(&[Need::Crash]),
    case!(
        Faults,
        what_waits_long_survives_a_crash,
        "A delay beyond 2 s is in the retry channel: a crash neither loses it nor moves its attempt."
    )
    .schedules(&[22])
    .needs(&[Need::Crash]),
    case!(
        Faults,
        a_nack_survives_a_crash,
        "The cursor is stored on each failure before a repeat: the attempt of a failure that was told is never forgotten."
    )
    .needs(&[Need::Crash]),
    case!(
        Faults,
        a_group_that_was_made_survives_a_crash,
        "Subscribed is sent only when the group is durable."
    )
    .needs(&[Need::Crash]),
];

/// The members of a crashed process are of no more use; they end with the
/// runtime, like a process that doesn't know that it is dead.
async fn after_crash(bench: &Bench, settings: GroupSettings, credit: u32) -> Outcome<(Member, Hand)> {
    bench.crash().await?;
    begin(bench, settings, credit).await
}

async fn begin(bench: &Bench, settings: GroupSettings, credit: u32) -> Outcome<(Member, Hand)> {
    let member = bench.member().await?;
    let hand = Hand::group(&member, settings, credit).await?;
    Ok((member, hand))
}

/// What was out at a loss counts once. What the cursor only had reserved may
/// count once too: nobody can know.
pub(super) fn suits(attempt: u32, was_out: bool) -> bool {
    attempt == 2 || (attempt == 1 && !was_out)
}

async fn publish(bench: &Bench, numbers: std::ops::Range<u64>) -> Outcome {
    let drafts = numbers.map(|n| Ok(event("t", n)?.key(&format!("k{}", n % 50)))).collect::<Outcome<_>>()?;
    put_all(&*bench.open().await?, drafts).await.map(drop)
}

async fn what_was_settled_stays_settled_after_a_crash(bench: Bench) -> Outcome {
    publish(&bench, 0..100).await?;
    let settings = group("g", &["t"])?;
    let (mut member, mut hand) = begin(&bench, settings.clone(), 8).await?;
    let mut done = BTreeSet::new();
    for round in 0..4 {
        for n in hand.work(20).await? {
            ensure!(done.insert(n), "number {n} came again after its ack was durable, crash {round}");
        }
        (member, hand) = after_crash(&bench, settings.clone(), 8).await?;
    }
    let mut crew = Crew::new([hand]);
    crew.exactly((0..100).filter(|n| !done.contains(n))).await?;
    drop(member);
    Ok(())
}

async fn attempts_survive_a_crash_and_are_raised_once(bench: Bench) -> Outcome {
    publish(&bench, 0..50).await?;
    let settings = group("g", &["t"])?;
    let (_member, mut hand) = begin(&bench, settings.clone(), 5).await?;
    let held: BTreeSet<u64> = hand.hold(5).await?.iter().map(|delivered| number(&delivered.record)).collect();
    let (_member, hand) = after_crash(&bench, settings, 5).await?;
    for done in Crew::new([hand]).exactly(0..50).await? {
        let was_out = held.contains(&done.number);
        ensure!(suits(done.attempt, was_out), "number {}: attempt {}, was out: {was_out}", done.number, done.attempt);
    }
    Ok(())
}

async fn a_pill_is_given_up_and_none_of_its_neighbours(bench: Bench) -> Outcome {
    kill_with_pill(&bench, group("g", &["t"])?, 500).await
}

async fn without_order_a_pill_is_given_up_and_none_of_its_neighbours(bench: Bench) -> Outcome {
    let settings = GroupSettings {
        order: Some(Order::None),
        ack_wait: Some(bench.lease(Duration::from_secs(1))),
        ..group("g", &["t"])?
    };
    kill_with_pill(&bench, settings, 200).await
}

/// Each delivery of one event kills the process; all others are worked off.
async fn kill_with_pill(bench: &Bench, settings: GroupSettings, events: u64) -> Outcome {
    let pill = events / 2;
    publish(bench, 0..events).await?;
    let (mut member, mut hand) = begin(bench, settings.clone(), 32).await?;
    let (mut done, mut kills) = (BTreeSet::new(), 0);
    while done.len() as u64 + 1 < events || kills < 4 {
        let delivered = hand.delivery().await?;
        let n = number(&delivered.record);
        if n == pill {
            kills += 1;
            ensure!(kills <= 4, "the pill was handed out {kills} times (attempt {})", delivered.attempt);
            (member, hand) = after_crash(bench, settings.clone(), 32).await?;
            continue;
        }
        ensure!(done.insert(n), "number {n} came again after its ack was durable");
        hand.ack(&delivered).await?;
    }
    hand.nothing("the pill is given up and all else is acked").await?;
    let letters = super::dead_letters::there_are(&*bench.open().await?, 1).await?;
    ensure_eq!(number(&letters[0]), pill, "the dead letter");
    member.leave().await;
    Ok(())
}

async fn what_waits_long_survives_a_crash(bench: Bench) -> Outcome {
    for order in [Order::Key, Order::None] {
        let topic = format!("t.{order:?}");
        put_one(&*bench.open().await?, event(&topic, 1)?.key("k")).await?;
        // A broker that is killed itself may forget the delay and wait for as long as this.
        let ack_wait = Some(Duration::from_secs(10));
        let settings = GroupSettings { order: Some(order), ack_wait, ..group(&format!("{order:?}"), &[&topic])? };
        let (_member, mut hand) = begin(&bench, settings.clone(), 1).await?;
        let delivered = hand.delivery().await?;
        // Longer than a crash takes on a slow machine: nobody gets it before.
        hand.settle(nack_in(&delivered, Duration::from_secs(5))).await?;
        let (_member, mut hand) = after_crash(&bench, settings, 1).await?;
        let again = hand.delivery().await?;
        ensure_eq!((number(&again.record), again.attempt), (1, 2), "{order:?}: what waited through a crash");
        hand.ack(&again).await?;
        hand.nothing("it is acked").await?;
    }
    Ok(())
}

async fn a_nack_survives_a_crash(bench: Bench) -> Outcome {
    put_one(&*bench.open().await?, event("t", 1)?.key("k")).await?;
    let settings = group("g", &["t"])?;
    let (_member, mut hand) = begin(&bench, settings.clone(), 1).await?;
    for _ in 0..2 {
        let delivered = hand.delivery().await?;
        hand.settle(nack(&delivered)).await?;
    }
    // The third is out, or on its way, when the crash comes.
    let third = hand.delivery().await?;
    ensure_eq!(third.attempt, 3, "the attempt before the crash");
    let (_member, mut hand) = after_crash(&bench, settings, 1).await?;
    let fourth = hand.delivery().await?;
    ensure_eq!(fourth.attempt, 4, "the attempt after the crash");
    Ok(())
}

async fn a_group_that_was_made_survives_a_crash(bench: Bench) -> Outcome {
    for order in [Order::Key, Order::None] {
        let topic = format!("t.{order:?}");
        let settings =
            GroupSettings { from: From::New, order: Some(order), ..group(&format!("{order:?}"), &[&topic])? };
        let (_member, _hand) = begin(&bench, settings.clone(), 1).await?;
        let backend = bench.crash().await?;
        put_one(&*backend, event(&topic, 1)?.key("k")).await?;
        let member = Member::join(backend, bench.options()).await?;
        let mut hand = Hand::group(&member, settings, 1).await?;
        ensure_eq!(hand.work(1).await?, [1], "{order:?}: what was published after the group was made");
    }
    Ok(())
}
