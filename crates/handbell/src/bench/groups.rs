//! Groups: each event goes to many durable groups, with order and without.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::{
    Target,
    figures::rounded,
    link::Link,
    load::Load,
    plan::Plan,
    report::Progress,
    spread::{Receivers, rounds},
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
    let begun = Instant::now();
    let links = joined_groups(&target, way, &load, &name, groups).await?;
    let made = begun.elapsed();
    let receivers = Receivers { links, guess: GUESS, fewest: 2 };
    let mut row = rounds(plan, progress, &target, &load, receivers).await?;
    target.end().await;
    row["case"] = json!(format!("{groups} × {}", way.name()));
    row["groups"] = json!(groups);
    row["make_ms"] = json!(rounded(made.as_secs_f64() * 1e3 / groups as f64));
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
