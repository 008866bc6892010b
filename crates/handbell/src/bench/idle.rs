//! Idle connections: what the sidecar's memory grows by for each.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Target, figures::rounded, link::Link, plan::Plan, process::mib, report::Progress};
use crate::failure::Failure;

/// Memory is looked at so long after the last connection stands.
const REST: Duration = Duration::from_millis(500);

/// How the connections stand.
#[derive(Clone, Copy)]
enum Standing {
    /// Welcomed, and nothing else.
    Welcomed,
    /// With a fan-out subscription.
    Subscribed,
}

pub(super) async fn run(plan: &Plan, progress: &Progress) -> Result<Vec<Json>, Failure> {
    if plan.running.is_some() {
        progress.say("idle: left out, since the memory of the sidecar of --url can't be seen");
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for standing in [Standing::Welcomed, Standing::Subscribed] {
        progress.say(&format!("idle, {} connections, {}", plan.connections, standing.name()));
        rows.push(of(plan, standing).await?);
    }
    Ok(rows)
}

async fn of(plan: &Plan, standing: Standing) -> Result<Json, Failure> {
    let target = Target::start(plan).await?;
    // The first one is not counted: it makes what all share.
    let mut links = vec![open(&target, standing, 0).await?];
    tokio::time::sleep(REST).await;
    let before = target.usage();
    for n in 1..=plan.connections {
        links.push(open(&target, standing, n).await?);
    }
    tokio::time::sleep(REST).await;
    let after = target.usage();
    drop(links);
    target.end().await;
    let (before, after) = (before.map_or(0, |usage| usage.rss), after.map_or(0, |usage| usage.rss));
    let each = after.saturating_sub(before) as f64 / 1_024.0 / plan.connections as f64;
    Ok(json!({
        "case": standing.name(), "connections": plan.connections,
        "before_mib": rounded(mib(before)), "with_mib": rounded(mib(after)), "each_kib": rounded(each),
    }))
}

async fn open(target: &Target, standing: Standing, n: usize) -> Result<Link, Failure> {
    let mut link = Link::open(target.place(), &format!("/bench/idle-{n}")).await?;
    if matches!(standing, Standing::Subscribed) {
        link.subscribe("s", r#""topics":["bench.idle"]"#).await?;
    }
    Ok(link)
}

impl Standing {
    const fn name(self) -> &'static str {
        match self {
            Self::Welcomed => "welcomed",
            Self::Subscribed => "with a subscription",
        }
    }
}
