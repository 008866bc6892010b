//! Groups and fan-outs that retention has overtaken.

use handbell_backend::Class;
use handbell_delivery::{Leave, MemberOptions};

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Hand, event, fanout, group, put_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Retention,
        a_group_is_told_of_what_was_removed_while_nobody_was_there,
        "gap: when retention removed something; a group is rebuilt from its cursor and never jumps silently."
    )
    .schedules(&[17])
    .needs(&[Need::Retention]),
    case!(
        Retention,
        a_slow_group_that_retention_overtakes_is_told,
        "gap: also for a slow but living reader; what is behind it comes."
    )
    .schedules(&[40])
    .needs(&[Need::Retention]),
    case!(
        Retention,
        a_slow_fan_out_that_retention_overtakes_is_told,
        "gap: also for a fan-out; what is behind it comes."
    )
    .schedules(&[40])
    .needs(&[Need::Retention]),
];

/// A member that reads little ahead, so that retention can overtake it.
fn slow(bench: &Bench) -> MemberOptions {
    MemberOptions { read_ahead_events: 16, ..bench.options() }
}

async fn publish(bench: &Bench, numbers: std::ops::Range<u64>) -> Outcome {
    let drafts = numbers.map(|n| Ok(event("t", n)?.key("k"))).collect::<Outcome<_>>()?;
    put_all(&*bench.open().await?, drafts).await.map(drop)
}

async fn a_group_is_told_of_what_was_removed_while_nobody_was_there(bench: Bench) -> Outcome {
    publish(&bench, 0..20).await?;
    let member = bench.member_with(slow(&bench)).await?;
    let mut hand = Hand::group(&member, group("g", &["t"])?, 1).await?;
    ensure_eq!(hand.work(2).await?, [0, 1], "what is handed out first");
    hand.leave(Leave::Clean);
    member.leave().await;
    bench.trim(Class::Ev).await?;
    publish(&bench, 20..23).await?;
    let member = bench.member().await?;
    let mut hand = Hand::group(&member, group("g", &["t"])?, 1).await?;
    let gap = hand.gap().await?;
    ensure!(gap.from.offset < gap.to.offset, "a gap from {} to {}", gap.from, gap.to);
    ensure_eq!(hand.work(3).await?, [20, 21, 22], "what is behind the gap");
    Ok(())
}

async fn a_slow_group_that_retention_overtakes_is_told(bench: Bench) -> Outcome {
    let member = bench.member_with(slow(&bench)).await?;
    let hand = Hand::group(&member, group("g", &["t"])?, 1).await?;
    overtaken(&bench, hand).await
}

async fn a_slow_fan_out_that_retention_overtakes_is_told(bench: Bench) -> Outcome {
    let member = bench.member_with(slow(&bench)).await?;
    let hand = Hand::fanout(&member, fanout(&["t"])?, 1).await?;
    overtaken(&bench, hand).await
}

/// Holds its first delivery while retention removes everything.
async fn overtaken(bench: &Bench, mut hand: Hand) -> Outcome {
    publish(bench, 0..3_000).await?;
    let first = hand.delivery().await?;
    bench.trim(Class::Ev).await?;
    publish(bench, 3_000..3_003).await?;
    hand.ack(&first).await?;
    let mut done = vec![];
    while done.last() != Some(&3_002) {
        done.extend(hand.work(1).await?);
    }
    ensure!(done.is_sorted(), "out of order: {done:?}");
    // All of it may have been in hands already; a hole must be told.
    if done.len() < 3_002 {
        let gap = hand.gap().await?;
        ensure!(gap.from.offset < gap.to.offset, "a gap from {} to {}", gap.from, gap.to);
    }
    ensure!(done.ends_with(&[3_000, 3_001, 3_002]), "what is behind the gap: {done:?}");
    Ok(())
}
