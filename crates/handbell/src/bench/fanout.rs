//! Fan-out: each event goes to many subscribers, each with a connection.

use serde_json::{Value as Json, json};

use super::{
    Target,
    link::Link,
    load::Load,
    plan::Plan,
    report::Progress,
    spread::{Receivers, rounds},
    way::Way,
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
    let mut links = Vec::new();
    for n in 0..subscribers {
        let mut link = Link::open(target.place(), &format!("/bench/consumer-{n}")).await?;
        link.subscribe("s", &Way::Fanout.subscription(&load.topic, "")).await?;
        links.push((link, 1));
    }
    let receivers = Receivers { links, guess: GUESS, fewest: 20 };
    let mut row = rounds(plan, progress, &target, &load, receivers).await?;
    target.end().await;
    row["case"] = json!(format!("{subscribers} subscribers"));
    row["subscribers"] = json!(subscribers);
    Ok(row)
}
