//! `bench`: how fast a sidecar is, and what it needs.
//!
//! Each part compares within one run: the sidecar and, where it can be, the
//! backend called directly, in alternating rounds, so that a noisy machine
//! disturbs both alike. Owns the measuring; knows nothing of how the sidecar
//! works inside.

mod consume;
mod direct;
mod disk;
mod fanout;
mod figures;
mod groups;
mod idle;
mod latency;
mod link;
mod load;
mod own;
mod pace;
mod plan;
mod process;
mod publish;
mod report;
mod request;
mod spread;
mod start;
mod throughput;
mod way;

use crate::{
    cli::{BenchArgs, BenchPart},
    failure::{Done, Failure},
    output::Screen,
    reach::Place,
};

use own::Own;
use plan::Plan;
use report::{Progress, Report};

/// Runs the parts that were asked for and prints what they measured.
pub(crate) async fn run(args: &BenchArgs, set: &[String], screen: Screen) -> Done {
    let plan = Plan::of(args, set)?;
    let progress = Progress::new(screen);
    let mut report = Report::begin(&plan, screen)?;
    for part in &plan.parts {
        let rows = match part {
            BenchPart::Throughput => throughput::run(&plan, &progress).await?,
            BenchPart::Latency => latency::run(&plan, &progress).await?,
            BenchPart::Request => request::run(&plan, &progress).await?,
            BenchPart::Fanout => fanout::run(&plan, &progress).await?,
            BenchPart::Groups => groups::run(&plan, &progress).await?,
            BenchPart::Start => start::run(&plan, &progress).await?,
            BenchPart::Idle => idle::run(&plan, &progress).await?,
        };
        report.part(*part, rows)?;
    }
    report.end()
}

/// A sidecar to measure: one of our own, or one that runs.
enum Target {
    Own(Box<Own>),
    Running(Place),
}

impl Target {
    /// The sidecar that was named, or a new one on an empty log.
    async fn start(plan: &Plan) -> Result<Self, Failure> {
        match &plan.running {
            Some(place) => Ok(Self::Running(place.clone())),
            None => Ok(Self::Own(Box::new(Own::start(plan).await?))),
        }
    }

    fn place(&self) -> &Place {
        match self {
            Self::Own(own) => &own.place,
            Self::Running(place) => place,
        }
    }

    /// What the sidecar's process uses; `None` where that can't be known.
    fn usage(&self) -> Option<process::Usage> {
        match self {
            Self::Own(own) => process::usage(own.pid()?),
            Self::Running(_) => None,
        }
    }

    async fn end(self) {
        if let Self::Own(own) = self {
            own.end().await;
        }
    }
}
