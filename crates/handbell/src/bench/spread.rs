//! Rounds in which each event goes to many: one publisher, and connections
//! that take their part.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::{
    Target, consume, figures::Rounds, link::Link, load::Load, plan::Plan, process::Spent, publish, report::Progress,
    throughput::joined,
};
use crate::failure::Failure;

/// Who gets each event.
pub(super) struct Receivers {
    /// Connections, each with how many deliveries of an event come to it.
    pub(super) links: Vec<(Link, usize)>,
    /// How many deliveries a second are assumed until a round has told.
    pub(super) guess: f64,
    /// At least so many events make a round.
    pub(super) fewest: u64,
}

/// Runs the rounds, and gives back the row that all such measurements share.
pub(super) async fn rounds(
    plan: &Plan,
    progress: &Progress,
    target: &Target,
    load: &Load,
    receivers: Receivers,
) -> Result<Json, Failure> {
    let Receivers { mut links, guess: mut rate, fewest } = receivers;
    let copies: usize = links.iter().map(|(_, copies)| copies).sum();
    let mut publisher = Link::open(target.place(), "/bench/publisher").await?;
    let (mut per_second, mut spent) = (Rounds::default(), Spent::default());
    for round in 0..=plan.rounds {
        progress.round(round, plan.rounds + 1);
        let events = ((rate * plan.seconds) as u64 / copies as u64).max(fewest);
        let deliveries = events * copies as u64;
        let (before, begun) = (target.usage(), Instant::now());
        let take = |(link, copies): (Link, usize)| {
            let load = load.clone();
            tokio::spawn(async move { Ok((consume::take(link, load, events * copies as u64).await?.0, copies)) })
        };
        let taking: Vec<_> = links.into_iter().map(take).collect();
        publisher = joined(tokio::spawn(publish::saturate(publisher, load.clone(), events)).await)?;
        links = Vec::new();
        for taken in taking {
            links.push(joined(taken.await)?);
        }
        rate = deliveries as f64 / begun.elapsed().as_secs_f64();
        if round > 0 {
            per_second.add(rate);
            spent.add(before, target.usage(), deliveries);
        }
    }
    let mut row = json!({ "size": plan.size(), "deliveries_per_second": per_second.json() });
    spent.tell(&mut row);
    Ok(row)
}
