//! One agent that stops reading, beside others that work.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use crate::{Agent, Server, delivery_of};

/// So many agents work.
const WORKERS: u64 = 4;
/// So many publishes of each are unanswered.
const UNANSWERED: u64 = 32;
/// Bytes of a payload: the slow one's credit of them is more than the system
/// keeps for a socket.
const PAYLOAD: usize = 8 << 10;
/// All that one delivery may be.
const CREDIT: u64 = 1_024;

/// What was seen.
#[derive(Debug)]
pub struct Report {
    /// Events a second of the others before the slow one came.
    pub before: f64,
    /// And while it didn't read.
    pub beside: f64,
    /// The memory that the server held before, and the most of it later.
    pub rss: (u64, u64),
    /// The code that the slow one was closed with.
    pub closed: Option<u16>,
    /// How many events there were for it, and how many of them it got in the end.
    pub found: (usize, usize),
}

/// Settings of the server: a reader that stalls is told so soon.
pub const SETTINGS: [&str; 4] =
    ["sidecar.stall=1s", "sidecar.stall_cut=5m", "sidecar.heartbeat=5m", "sidecar.read_ahead_bytes=32MiB"];

/// Runs the others for `time` alone, and for as long beside a slow reader.
///
/// # Errors
/// When an agent is refused or disconnected that should not be.
pub async fn run(server: &Server, time: Duration) -> anyhow::Result<Report> {
    let url = &server.agents[0];
    let mut slow = Agent::narrow(url, json!({"agent":"/slow"})).await?;
    slow.ask(&subscription(0), "subscribed").await?;
    let work = Work::start(url);
    let alone = work.rate(time).await;
    let rss = server.rss()?;
    let mut most = rss;
    // From here on it has credit, and reads nothing.
    slow.send(&json!({"op":"credit","sub":"all","add":CREDIT})).await?;
    let watching = async {
        loop {
            most = most.max(server.rss().unwrap_or_default());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let beside = tokio::select! { rate = work.rate(time) => rate, () = watching => 0.0 };
    let published = work.stop().await?;
    let resume = slow.resume();
    let closed = slow.close_code().await?;
    let found = catch_up(url, &resume, &published).await?;
    let most = most.max(server.rss()?);
    Ok(Report { before: alone, beside, rss: (rss, most), closed, found: (published.len(), found) })
}

fn subscription(credit: u64) -> Value {
    json!({"op":"subscribe","sub":"all","topics":["load.*"],"group":"slow","from":"start","credit":credit})
}

/// How many of those events the agent finds after its return.
async fn catch_up(url: &str, resume: &Value, published: &BTreeSet<String>) -> anyhow::Result<usize> {
    let mut agent = Agent::hello(url, json!({"agent":"/slow","resume":resume})).await?;
    if agent.welcome["resumed"] != true {
        agent.ask(&subscription(CREDIT), "subscribed").await?;
    }
    let mut found = BTreeSet::new();
    while found.len() < published.len() {
        let frame = agent.next().await?.context("closed again")?;
        if frame["op"] == "deliver" {
            let id = frame["event"]["id"].as_str().unwrap_or_default().to_owned();
            if !published.contains(&id) {
                bail!("an event that was not published: {frame}");
            }
            found.insert(id);
            agent.send(&json!({"op":"ack","deliveries":[delivery_of(&frame)]})).await?;
        }
    }
    Ok(found.len())
}

/// The others: each publishes on a topic of its own and receives that.
struct Work {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    workers: JoinSet<anyhow::Result<BTreeSet<String>>>,
}

impl Work {
    fn start(url: &str) -> Self {
        let mut work = Self { done: Arc::default(), stop: Arc::default(), workers: JoinSet::new() };
        for number in 0..WORKERS {
            work.workers.spawn(worker(url.to_owned(), number, work.done.clone(), work.stop.clone()));
        }
        work
    }

    /// Events a second that came full circle.
    async fn rate(&self, time: Duration) -> f64 {
        let (begun, before) = (Instant::now(), self.done.load(Ordering::Relaxed));
        tokio::time::sleep(time).await;
        (self.done.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64()
    }

    /// Ends the work; the IDs of all that was published.
    async fn stop(mut self) -> anyhow::Result<BTreeSet<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeSet::new();
        while let Some(worker) = self.workers.join_next().await {
            all.extend(worker??);
        }
        Ok(all)
    }
}

async fn worker(
    url: String,
    number: u64,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<BTreeSet<String>> {
    let topic = format!("load.{number}");
    let mut agent = Agent::named(&url, &format!("/worker/{number}")).await?;
    let subscribe = json!({"op":"subscribe","sub":"s","topics":[topic],"group":format!("w{number}"),"credit":256});
    agent.ask(&subscribe, "subscribed").await?;
    let payload = "x".repeat(PAYLOAD);
    let mut ids = BTreeSet::new();
    let (mut seq, mut delivered) = (0, 0);
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        while !stopping && seq < ids.len() as u64 + UNANSWERED {
            seq += 1;
            // Without a key no event waits for an unsettled one before it.
            let routing = json!({"topic": topic});
            agent
                .send(&json!({"op":"publish","seq":seq,"event":{"type":"X"},"payload":payload,"routing":routing}))
                .await?;
        }
        if stopping && ids.len() as u64 == seq && delivered == seq {
            return Ok(ids);
        }
        let frame = agent.next().await?.with_context(|| format!("a worker was closed: {:?}", agent.closed))?;
        match frame["op"].as_str() {
            Some("published") => drop(ids.insert(frame["id"].as_str().unwrap_or_default().to_owned())),
            Some("deliver") => {
                delivered += 1;
                done.fetch_add(1, Ordering::Relaxed);
                agent.send(&json!({"op":"ack","deliveries":[delivery_of(&frame)]})).await?;
            }
            _ => bail!("a worker was told {frame}"),
        }
    }
}
