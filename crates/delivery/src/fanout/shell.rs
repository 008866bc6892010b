//! A fan-out with its tails.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use handbell_backend::{Backend, Class, Record, TailItem, TailSpec};
use handbell_protocol::{Lane, Timestamp};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::{
    Consumer, FanoutSpec, JoinError, Leave, MemberOptions, Token, Verdict, consumer_end::End, counts::Counters,
    post::Post, sieve::Sieve, starts::Starts, tailing::SteadyTail,
};

/// The most records of one reading.
const BATCH: usize = 256;

/// What surrounds a member's fan-outs.
pub(crate) struct Surroundings {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) options: MemberOptions,
    pub(crate) counters: Arc<Counters>,
    /// Ends its task.
    pub(crate) ended: CancellationToken,
    /// Nothing new is handed out any more.
    pub(crate) draining: CancellationToken,
}

/// What the consumer's end and the task share.
struct Shared {
    core: Mutex<Core>,
    wake: Notify,
    ended: CancellationToken,
}

/// The task: reads both lanes as far as the window has room.
struct Reader {
    shared: Arc<Shared>,
    express: SteadyTail,
    regular: SteadyTail,
    sieve: Sieve,
    counters: Arc<Counters>,
    draining: CancellationToken,
}

/// Opens both tails, then begins: what is published when this has returned is
/// behind their starts.
pub(crate) async fn open(
    spec: FanoutSpec,
    post: Post,
    credit: u32,
    around: Surroundings,
) -> Result<Consumer, JoinError> {
    let sieve = Sieve::compile(spec.filter.as_deref().unwrap_or_default())?;
    let starts = Starts::resolve(&spec.from, &*around.backend).await?;
    let express = tail(&spec, Lane::Express, &starts, &around.backend).await?;
    let regular = tail(&spec, Lane::Regular, &starts, &around.backend).await?;
    let core = Core::new(&spec, post, around.options, Arc::clone(&around.counters));
    let shared = Arc::new(Shared { core: Mutex::new(core), wake: Notify::new(), ended: around.ended.child_token() });
    let (draining, counters) = (around.draining, around.counters);
    let reader = Reader { shared: Arc::clone(&shared), express, regular, sieve, counters, draining };
    tokio::spawn(shared.ended.clone().run_until_cancelled_owned(reader.run()));
    shared.credit(credit);
    Ok(Consumer::new(shared))
}

async fn tail(
    spec: &FanoutSpec,
    lane: Lane,
    starts: &Starts,
    backend: &Arc<dyn Backend>,
) -> Result<SteadyTail, JoinError> {
    let partitions = starts.of_lane(lane, backend.capabilities().partitions);
    let spec = TailSpec { class: Class::Ev, lane, topics: spec.topics.clone(), partitions };
    Ok(SteadyTail::open(Arc::clone(backend), spec).await?)
}

// === impl Shared ===

impl Shared {
    /// Changes the core, posts what it has decided, and tells how many events
    /// may be read now and when to look again.
    fn with(&self, change: impl FnOnce(&mut Core, Instant)) -> (usize, Option<Instant>) {
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        change(&mut core, now);
        core.advance(now.into_std(), Timestamp::now());
        core.outbox.flush();
        (core.room().min(BATCH), core.next_deadline().map(Instant::from_std))
    }

    /// The same from the consumer's side: the task looks again.
    fn change(&self, change: impl FnOnce(&mut Core, Instant)) {
        self.with(change);
        self.wake.notify_one();
    }
}

impl End for Shared {
    fn credit(&self, ceiling: u32) {
        self.change(|core, _| core.credit(ceiling));
    }

    fn settle(&self, verdicts: Vec<(Token, Verdict)>) {
        self.change(|core, now| core.settle(verdicts, now.into_std()));
    }

    fn extend(&self, token: Token, lease: Duration) {
        self.change(|core, now| core.extend(token, lease, now.into_std()));
    }

    fn connected(&self, connected: bool) {
        self.change(|core, now| core.connected(connected, now.into_std()));
    }

    fn leave(&self, _how: Leave) {
        // Nobody else could take what it has.
        self.ended.cancel();
    }
}

// === impl Reader ===

impl Reader {
    async fn run(mut self) {
        loop {
            let (room, deadline) = self.shared.with(|_, _| {});
            tokio::select! {
                biased;
                item = self.express.next(room), if room > 0 => self.take(Lane::Express, item),
                item = self.regular.next(room), if room > 0 => self.take(Lane::Regular, item),
                () = self.shared.wake.notified() => {}
                () = at(deadline) => {}
                () = self.draining.cancelled() => return self.drain().await,
            }
        }
    }

    fn take(&self, lane: Lane, item: TailItem) {
        match item {
            TailItem::Records(records) => {
                let passed: Vec<Arc<Record>> =
                    records.into_iter().filter(|record| self.sieve.passes(&record.envelope, &self.counters)).collect();
                self.shared.with(|core, _| core.read(passed));
            }
            TailItem::Trimmed(trimmed) => {
                self.shared.with(|core, _| core.gap(trimmed));
            }
            TailItem::Level => {
                self.shared.with(|core, _| core.lane_is_level(lane));
            }
        }
    }

    /// Only what is out is looked after.
    async fn drain(self) {
        loop {
            let (_, deadline) = self.shared.with(|core, _| core.draining = true);
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = at(deadline) => {}
            }
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
