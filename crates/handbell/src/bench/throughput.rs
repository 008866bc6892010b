//! Throughput: as many events as the publish windows allow, through a fan-out
//! and through a group, against the log called directly.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::{
    Target, consume,
    direct::{self, Direct},
    figures::{Rounds, rounded},
    link::Link,
    load::Load,
    plan::Plan,
    process::Spent,
    publish,
    report::Progress,
    way::Way,
};
use crate::failure::Failure;

/// How many connections publish.
const PUBLISHERS: u64 = 2;
const KEYS: u64 = 1_024;
/// What the first, unmeasured round has.
const WARM_UP: u64 = 2_000;

/// What was measured of one way.
#[derive(Default)]
struct Measured {
    per_second: Rounds,
    spent: Spent,
}

/// One way through a sidecar, its connections open.
struct Track {
    way: Way,
    load: Load,
    target: Target,
    publishers: Vec<Link>,
    consumer: Option<Link>,
    count: u64,
    measured: Measured,
}

pub(super) async fn run(plan: &Plan, progress: &Progress) -> Result<Vec<Json>, Failure> {
    let mut rows = Vec::new();
    for size in &plan.sizes {
        progress.say(&format!("throughput, {size} B"));
        rows.extend(of_size(plan, progress, *size).await?);
    }
    Ok(rows)
}

async fn of_size(plan: &Plan, progress: &Progress, size: usize) -> Result<Vec<Json>, Failure> {
    let mut direct = if plan.running.is_none() { Some(Direct::open(plan)?) } else { None };
    let mut straight = Measured::default();
    let mut straight_count = WARM_UP;
    let mut tracks = Vec::new();
    for way in Way::ALL {
        tracks.push(Track::open(plan, way, size).await?);
    }
    for round in 0..=plan.rounds {
        progress.round(round, plan.rounds + 1);
        let measured = round > 0;
        if let Some(direct) = &mut direct {
            let per_second = straight_round(direct, size, straight_count).await?;
            straight_count = count(plan, per_second);
            if measured {
                straight.per_second.add(per_second);
            }
        }
        for track in &mut tracks {
            track.round(plan, measured).await?;
        }
    }
    if let Some(direct) = direct {
        direct.end().await;
    }
    let base = straight.per_second.median();
    let mut rows = Vec::new();
    if base > 0.0 {
        rows.push(json!({ "case": "direct", "size": size, "per_second": straight.per_second.json() }));
    }
    for track in tracks {
        rows.push(track.row(size, base));
        track.target.end().await;
    }
    Ok(rows)
}

/// So many events that a round takes about as long as it should.
fn count(plan: &Plan, per_second: f64) -> u64 {
    ((per_second * plan.seconds) as u64).clamp(500, 500_000)
}

async fn straight_round(direct: &mut Direct, size: usize, count: u64) -> Result<f64, Failure> {
    let load = Load::new("bench.direct", size, KEYS);
    let tail = direct.tail(&load).await?;
    let begun = Instant::now();
    let reader = tokio::spawn(direct::read(tail, load.clone(), count));
    direct.saturate(&load, count).await?;
    joined(reader.await)?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

impl Track {
    async fn open(plan: &Plan, way: Way, size: usize) -> Result<Self, Failure> {
        let target = Target::start(plan).await?;
        let name = format!("bench-{}-{size}", plan.run);
        let load = Load::new(&format!("bench.throughput.{name}-{}", way as u8), size, KEYS);
        let mut publishers = Vec::new();
        for n in 0..PUBLISHERS {
            publishers.push(Link::open(target.place(), &format!("/bench/publisher-{n}")).await?);
        }
        let mut consumer = Link::open(target.place(), "/bench/consumer").await?;
        consumer.subscribe("s", &way.subscription(&load.topic, &format!("{name}-{}", way as u8))).await?;
        let measured = Measured::default();
        Ok(Self { way, load, target, publishers, consumer: Some(consumer), count: WARM_UP, measured })
    }

    async fn round(&mut self, plan: &Plan, measured: bool) -> Result<(), Failure> {
        let each = self.count / PUBLISHERS;
        let total = each * PUBLISHERS;
        let Some(consumer) = self.consumer.take() else { return Ok(()) };
        let before = self.target.usage();
        let begun = Instant::now();
        let consumer = tokio::spawn(consume::take(consumer, self.load.clone(), total));
        let publishers: Vec<_> = std::mem::take(&mut self.publishers)
            .into_iter()
            .map(|link| tokio::spawn(publish::saturate(link, self.load.clone(), each)))
            .collect();
        for publisher in publishers {
            self.publishers.push(joined(publisher.await)?);
        }
        self.consumer = Some(joined(consumer.await)?.0);
        let per_second = total as f64 / begun.elapsed().as_secs_f64();
        self.count = count(plan, per_second);
        if measured {
            self.measured.per_second.add(per_second);
            self.measured.spent.add(before, self.target.usage(), total);
        }
        Ok(())
    }

    fn row(&self, size: usize, direct: f64) -> Json {
        let Measured { per_second, spent } = &self.measured;
        let ratio = (direct > 0.0).then(|| rounded(per_second.median() / direct));
        let mut row =
            json!({ "case": self.way.name(), "size": size, "per_second": per_second.json(), "of_direct": ratio });
        spent.tell(&mut row);
        row
    }
}

/// What a task of the bench came to.
pub(super) fn joined<T>(task: Result<Result<T, Failure>, tokio::task::JoinError>) -> Result<T, Failure> {
    task.unwrap_or_else(|error| Err(Failure::failed(format!("the bench broke off: {error}"), "handbell bench", "")))
}
