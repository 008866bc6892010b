//! Fan-out: each event goes to many subscribers, each with a connection.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::{
    Target, consume, figures::Rounds, link::Link, load::Load, plan::Plan, process::Spent, publish, report::Progress,
    throughput::joined, way::Way,
};
use crate::failure::Failure;

const SUBSCRIBERS: [usize; 3] = [1, 10, 100];
/// How many deliveries a second are assumed until a round has told.
const GUESS: f64 = 20_000.0;

pub(super) async fn run(plan: &Plan, progress: &Progress) -> Result<Vec<Json>, Failure> {
    let mut rows = Vec::new();
    for subscribers in SUBSCRIBERS {
        progress.say(&format!("fan-out to {subscribers}"));
        rows.push(to(plan, progress, subscribers).await?);
    }
    Ok(rows)
}

async fn to(plan: &Plan, progress: &Progress, subscribers: usize) -> Result<Json, Failure> {
    let target = Target::start(plan).await?;
    let load = Load::new(&format!("bench.fanout.{}-{subscribers}", plan.run), plan.size(), 64);
    let mut publisher = Link::open(target.place(), "/bench/publisher").await?;
    let mut consumers = Vec::new();
    for n in 0..subscribers {
        let mut consumer = Link::open(target.place(), &format!("/bench/consumer-{n}")).await?;
        consumer.subscribe("s", &Way::Fanout.subscription(&load.topic, "")).await?;
        consumers.push(consumer);
    }
    let (mut per_second, mut spent) = (Rounds::default(), Spent::default());
    let mut rate = GUESS;
    for round in 0..=plan.rounds {
        progress.round(round, plan.rounds + 1);
        let events = ((rate * plan.seconds) as u64 / subscribers as u64).max(20);
        let deliveries = events * subscribers as u64;
        let (before, begun) = (target.usage(), Instant::now());
        let taking: Vec<_> =
            consumers.into_iter().map(|link| tokio::spawn(consume::take(link, load.clone(), events))).collect();
        publisher = joined(tokio::spawn(publish::saturate(publisher, load.clone(), events)).await)?;
        consumers = Vec::new();
        for taken in taking {
            consumers.push(joined(taken.await)?.0);
        }
        rate = deliveries as f64 / begun.elapsed().as_secs_f64();
        if round > 0 {
            per_second.add(rate);
            spent.add(before, target.usage(), deliveries);
        }
    }
    target.end().await;
    let mut row = json!({
        "case": format!("{subscribers} subscribers"), "size": plan.size(), "subscribers": subscribers,
        "deliveries_per_second": per_second.json(),
    });
    spent.tell(&mut row);
    Ok(row)
}
