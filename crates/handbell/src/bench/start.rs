//! The start: from making the process until it says ready, on an empty log.

use serde_json::{Value as Json, json};

use super::{
    figures::Rounds,
    own::Own,
    plan::Plan,
    process::{mib, usage},
    report::Progress,
};
use crate::failure::Failure;

pub(super) async fn run(plan: &Plan, progress: &Progress) -> Result<Vec<Json>, Failure> {
    if plan.running.is_some() {
        progress.say("start: left out, since the sidecar of --url runs already");
        return Ok(Vec::new());
    }
    progress.say("start");
    let (mut ready, mut rss) = (Rounds::default(), Rounds::default());
    for round in 0..plan.rounds {
        progress.round(round, plan.rounds);
        let own = Own::start(plan).await?;
        ready.add(own.ready.as_secs_f64() * 1e3);
        if let Some(usage) = own.pid().and_then(usage) {
            rss.add(mib(usage.rss));
        }
        own.end().await;
    }
    Ok(vec![json!({ "case": "empty log", "ready_ms": ready.json(), "rss_mib": rss.json() })])
}
