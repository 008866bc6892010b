//! Latency at fixed rates, in open loop: each event's time counts from when it
//! was due, whether or not it could be sent then.

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};

use super::{
    Target, consume,
    direct::{self, Direct},
    figures::{Times, rounded},
    link::Link,
    load::Load,
    pace::Stamps,
    plan::Plan,
    process::Spent,
    publish,
    report::Progress,
    throughput::joined,
    way::Way,
};
use crate::failure::Failure;

const RATES: [u32; 2] = [1_000, 10_000];
const KEYS: u64 = 1_024;

/// One way through a sidecar, its connections open.
struct Track {
    way: Way,
    load: Load,
    target: Target,
    links: Option<(Link, Link)>,
    times: Times,
    spent: Spent,
}

pub(super) async fn run(plan: &Plan, progress: &Progress) -> Result<Vec<Json>, Failure> {
    let mut rows = Vec::new();
    for size in &plan.sizes {
        for rate in RATES {
            progress.say(&format!("latency, {size} B at {rate}/s"));
            rows.extend(at_rate(plan, progress, *size, rate).await?);
        }
    }
    Ok(rows)
}

async fn at_rate(plan: &Plan, progress: &Progress, size: usize, rate: u32) -> Result<Vec<Json>, Failure> {
    let count = (f64::from(rate) * plan.seconds) as u64;
    let mut direct = if plan.running.is_none() { Some(Direct::open(plan)?) } else { None };
    let mut straight = Times::default();
    let mut tracks = Vec::new();
    for way in Way::ALL {
        tracks.push(Track::open(plan, way, size, rate).await?);
    }
    for round in 0..=plan.rounds {
        progress.round(round, plan.rounds + 1);
        // The first round is for the caches, and is short.
        let (measured, count) = if round > 0 { (true, count) } else { (false, count / 4) };
        if let Some(direct) = &mut direct {
            let ages = straight_round(direct, size, rate, count).await?;
            if measured {
                straight.add(&ages);
            }
        }
        for track in &mut tracks {
            track.round(rate, count, measured).await?;
        }
    }
    let mut rows = Vec::new();
    if let Some(direct) = direct {
        direct.end().await;
        rows.push(json!({ "case": "direct", "size": size, "rate": rate, "us": straight.json() }));
    }
    let base = plan.running.is_none().then_some(&straight);
    for track in tracks {
        rows.push(track.row(size, rate, base));
        track.target.end().await;
    }
    Ok(rows)
}

async fn straight_round(direct: &mut Direct, size: usize, rate: u32, count: u64) -> Result<Histogram<u64>, Failure> {
    let load = Load::new("bench.direct", size, KEYS);
    let tail = direct.tail(&load).await?;
    let reader = tokio::spawn(direct::read(tail, load.clone(), count));
    direct.follow(&load, Stamps::at(rate, count)).await?;
    joined(reader.await)
}

impl Track {
    async fn open(plan: &Plan, way: Way, size: usize, rate: u32) -> Result<Self, Failure> {
        let target = Target::start(plan).await?;
        let name = format!("bench-{}-{size}-{rate}-{}", plan.run, way as u8);
        let load = Load::new(&format!("bench.latency.{name}"), size, KEYS);
        let publisher = Link::open(target.place(), "/bench/publisher").await?;
        let mut consumer = Link::open(target.place(), "/bench/consumer").await?;
        consumer.subscribe("s", &way.subscription(&load.topic, &name)).await?;
        let (times, spent) = (Times::default(), Spent::default());
        Ok(Self { way, load, target, links: Some((publisher, consumer)), times, spent })
    }

    async fn round(&mut self, rate: u32, count: u64, measured: bool) -> Result<(), Failure> {
        let Some((publisher, consumer)) = self.links.take() else { return Ok(()) };
        let before = self.target.usage();
        let consumer = tokio::spawn(consume::take(consumer, self.load.clone(), count));
        let publisher = tokio::spawn(publish::follow(publisher, self.load.clone(), Stamps::at(rate, count)));
        let publisher = joined(publisher.await)?;
        let (consumer, ages) = joined(consumer.await)?;
        self.links = Some((publisher, consumer));
        if !measured {
            return Ok(());
        }
        self.times.add(&ages);
        self.spent.add(before, self.target.usage(), count);
        Ok(())
    }

    fn row(&self, size: usize, rate: u32, direct: Option<&Times>) -> Json {
        let mut row = json!({
            "case": self.way.name(), "size": size, "rate": rate, "us": self.times.json(),
            "added_p50": direct.map(|direct| rounded(self.times.p50() - direct.p50())),
            "added_p99": direct.map(|direct| rounded(self.times.p99() - direct.p99())),
        });
        self.spent.tell(&mut row);
        row
    }
}
