//! Agents that come, subscribe and go, over and over.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{Agent, Server};

/// So many agents come and go side by side.
const WORKERS: u64 = 16;
/// Under so many names.
const NAMES: u64 = 1_000;
/// In so many groups.
const GROUPS: u64 = 10;

/// Lets `total` agents connect and subscribe, half of them with a `bye` and
/// half without. After each tenth of them: how many there were, and the
/// memory that the server holds.
///
/// # Errors
/// When an agent is refused.
pub async fn run(server: &Server, total: u64) -> anyhow::Result<Vec<(u64, u64)>> {
    let next = Arc::new(AtomicU64::new(0));
    let mut seen = Vec::new();
    for tenth in 1..=10 {
        let until = total * tenth / 10;
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let (next, url) = (next.clone(), server.agents[0].clone());
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= until {
                        return anyhow::Ok(());
                    }
                    visit(&url, number).await?;
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        next.store(until, Ordering::Relaxed);
        seen.push((until, server.rss()?));
    }
    Ok(seen)
}

async fn visit(url: &str, number: u64) -> anyhow::Result<()> {
    let mut agent = Agent::named(url, &format!("/churn/{}", number % NAMES)).await?;
    let mut subscribe = json!({"op":"subscribe","sub":"s","topics":["churn.>"]});
    match number % 4 {
        0 => subscribe["group"] = json!(format!("g{}", number / 4 % GROUPS)),
        1 => subscribe["filter"] = json!("payload.n > 1 && event.type == 'X'"),
        2 => subscribe["filter"] = json!("type=X"),
        _ => {}
    }
    agent.ask(&subscribe, "subscribed").await?;
    if (number / 4).is_multiple_of(2) {
        agent.send(&json!({"op":"bye"})).await?;
        agent.close_code().await?;
    }
    Ok(())
}
