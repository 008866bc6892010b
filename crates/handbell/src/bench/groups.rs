//! Groups: each event goes to many durable groups, with order and without.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::{
    Target, consume,
    figures::{Rounds, rounded},
    link::Link,
    load::Load,
    plan::Plan,
    process::Spent,
    publish,
    report::Progress,
    throughput::joined,
    way::Way,
};
use crate::failure::Failure;

const GROUPS: [usize; 3] = [10, 100, 1_000];
/// How many subscriptions one connection has.
const PER_LINK: usize = 125;
/// How many deliveries a second are assumed until a round has told.
const GUESS: f64 = 2_000.0;

pub(super) async fn run(plan: &Plan, progress: &Progress) -> Result<Vec<Json>, Failure> {
    let mut rows = Vec::new();
    for way in [Way::OrderedGroup, Way::UnorderedGroup] {
        for groups in GROUPS {
            progress.say(&format!("groups, {}: {groups}", way.name()));
            rows.push(of(plan, progress, way, groups).await?);
        }
    }
    Ok(rows)
}

async fn of(plan: &Plan, progress: &Progress, way: Way, groups: usize) -> Result<Json, Failure> {
    let target = Target::start(plan).await?;
    let name = format!("bench-{}-{}-{groups}", plan.run, way as u8);
    let load = Load::new(&format!("bench.groups.{name}"), plan.size(), 64);
    let mut publisher = Link::open(target.place(), "/bench/publisher").await?;
    let begun = Instant::now();
    let mut links = joined_groups(&target, way, &load, &name, groups).await?;
    let made = begun.elapsed();
    let (mut per_second, mut spent) = (Rounds::default(), Spent::default());
    let mut rate = GUESS;
    for round in 0..=plan.rounds {
        progress.round(round, plan.rounds + 1);
        let events = ((rate * plan.seconds) as u64 / groups as u64).max(2);
        let deliveries = events * groups as u64;
        let (before, begun) = (target.usage(), Instant::now());
        let take = |(link, of): (Link, usize)| {
            let load = load.clone();
            tokio::spawn(async move { Ok((consume::take(link, load, events * of as u64).await?.0, of)) })
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
    target.end().await;
    let mut row = json!({
        "case": format!("{groups} × {}", way.name()), "size": plan.size(), "groups": groups,
        "make_ms": rounded(made.as_secs_f64() * 1e3 / groups as f64),
        "deliveries_per_second": per_second.json(),
    });
    spent.tell(&mut row);
    Ok(row)
}

/// Connections whose subscriptions stand, each with their number.
async fn joined_groups(
    target: &Target,
    way: Way,
    load: &Load,
    name: &str,
    groups: usize,
) -> Result<Vec<(Link, usize)>, Failure> {
    let mut links = Vec::new();
    for first in (0..groups).step_by(PER_LINK) {
        let count = PER_LINK.min(groups - first);
        let mut link = Link::open(target.place(), &format!("/bench/consumer-{first}")).await?;
        for n in first..first + count {
            link.ask_to_subscribe(&format!("s{n}"), &way.subscription(&load.topic, &format!("{name}-{n}")));
        }
        link.subscribed(count).await?;
        links.push((link, count));
    }
    Ok(links)
}
