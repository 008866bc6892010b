//! Many agents at once, each publishing one event a second to another.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout_at},
};

use crate::{Agent, PATIENCE, delivery_of};

/// So many connect at a time; all of them stay.
const CONNECTING: usize = 64;

/// What was counted, summed over all agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Events that were answered with `published`.
    pub published: u64,
    /// Different events that reached the agent that they were for.
    pub delivered: u64,
    /// Deliveries of events that had been delivered before.
    pub again: u64,
}

/// Lets `agents` agents publish `events` events each, one a second, each to
/// the agent of the next number.
///
/// # Errors
/// When an agent is refused or disconnected, or something doesn't come.
pub async fn run(url: &str, agents: u64, events: u64) -> anyhow::Result<Counts> {
    let places = Arc::new(Semaphore::new(CONNECTING));
    let mut connecting = JoinSet::new();
    for number in 0..agents {
        let (url, places) = (url.to_owned(), places.clone());
        connecting.spawn(async move {
            let _place = places.acquire().await?;
            anyhow::Ok((number, Agent::hello(&url, json!({"agent": name(number), "credit": 256})).await?))
        });
    }
    let mut connected = Vec::new();
    while let Some(agent) = connecting.join_next().await {
        connected.push(agent??);
    }
    let done = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for (number, agent) in connected {
        let member = Member { agent, number, agents, events, done: done.clone() };
        running.spawn(member.run());
    }
    let mut counts = Counts { published: 0, delivered: 0, again: 0 };
    while let Some(one) = running.join_next().await {
        let one = one??;
        counts.published += one.published;
        counts.delivered += one.delivered;
        counts.again += one.again;
    }
    Ok(counts)
}

fn name(number: u64) -> String {
    format!("/crowd/{number}")
}

/// One agent of the crowd.
struct Member {
    agent: Agent,
    number: u64,
    agents: u64,
    events: u64,
    /// How many agents have all that they wait for.
    done: Arc<AtomicU64>,
}

impl Member {
    async fn run(mut self) -> anyhow::Result<Counts> {
        let mut counts = Counts { published: 0, delivered: 0, again: 0 };
        let mut seen = HashSet::new();
        // Spread over the second.
        let first = Instant::now() + Duration::from_millis(1_000 * self.number / self.agents);
        let mut ticks = interval_at(first, Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let end = first + Duration::from_secs(self.events) + PATIENCE;
        let (mut sent, mut told) = (0, false);
        while self.done.load(Ordering::Acquire) < self.agents {
            tokio::select! {
                _ = ticks.tick() => if sent < self.events {
                    sent += 1;
                    self.publish(sent).await?;
                },
                frame = timeout_at(end, self.agent.next()) => {
                    let Ok(Some(frame)) = frame? else { bail!("{} was closed: {:?}", name(self.number), self.agent.closed) };
                    self.take(&frame, &mut counts, &mut seen).await?;
                }
            }
            if !told && counts.published == self.events && counts.delivered == self.events {
                told = true;
                self.done.fetch_add(1, Ordering::AcqRel);
            }
        }
        Ok(counts)
    }

    async fn publish(&mut self, seq: u64) -> anyhow::Result<()> {
        let to = name((self.number + 1) % self.agents);
        let frame = json!({"op":"publish","seq":seq,"event":{"type":"Ticked"},"payload":[self.number, seq],"routing":{"to":to}});
        self.agent.send(&frame).await
    }

    async fn take(&mut self, frame: &Value, counts: &mut Counts, seen: &mut HashSet<String>) -> anyhow::Result<()> {
        match frame["op"].as_str() {
            Some("published") => counts.published += 1,
            Some("deliver") => {
                match seen.insert(frame["payload"].to_string()) {
                    true => counts.delivered += 1,
                    false => counts.again += 1,
                }
                self.agent.send(&json!({"op":"ack","deliveries":[delivery_of(frame)]})).await?;
            }
            _ => bail!("{} was told {frame}", name(self.number)),
        }
        Ok(())
    }
}
