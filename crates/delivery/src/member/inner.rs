//! What stands behind the handle.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use handbell_backend::{Backend, BackendError, Outgoing, PublishError, Receipts};
use handbell_protocol::{Segment, frame::Order};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{group_end::Joined, info};
use crate::{
    Consumer, Counts, DirectSpec, FanoutSpec, GroupInfo, GroupSettings, JoinError, MemberOptions,
    consumer_end::End,
    counts::Counters,
    direct, fanout,
    lending::{self, Join, Lending},
    members::Members,
    ordered::{Around, Runner},
    post::Post,
    queue_group,
    settings::{self, Stored},
    shared,
    sieve::Sieve,
};

/// How long drain and leave wait for the backend before they go on without.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) options: MemberOptions,
    pub(super) members: Arc<Members>,
    pub(super) lending: Arc<Lending>,
    counters: Arc<Counters>,
    /// The ordered groups that have consumers here.
    runners: Mutex<BTreeMap<Segment, Arc<Runner>>>,
    draining: CancellationToken,
    ended: CancellationToken,
}

impl Inner {
    pub(super) async fn join(backend: Arc<dyn Backend>, options: MemberOptions) -> Result<Self, BackendError> {
        let ended = CancellationToken::new();
        let members = Arc::new(Members::join(Arc::clone(&backend), &options, ended.child_token()).await?);
        let counters = Arc::<Counters>::default();
        let seen = Arc::clone(&members);
        let lending = Lending::new(lending::Surroundings {
            backend: Arc::clone(&backend),
            member: members.id().clone(),
            views: Arc::new(move || seen.view()),
            counters: Arc::clone(&counters),
            max_processing: options.max_processing,
            ended: ended.child_token(),
        });
        let shared = backend.capabilities().shared.clone();
        for topic in &shared {
            shared::spawn(Arc::clone(&backend), Arc::clone(&members), topic.clone(), &ended);
        }
        members.forward(shared);
        let draining = CancellationToken::new();
        Ok(Self { backend, options, members, lending, counters, runners: Mutex::default(), draining, ended })
    }

    pub(super) async fn group(
        &self,
        asked: GroupSettings,
        post: Post,
        credit: u32,
        level: bool,
    ) -> Result<Consumer, JoinError> {
        let stored = settings::join(&asked, &self.options.retry, &*self.backend).await?;
        let end: Arc<dyn End> = match stored.order {
            Order::None => {
                let queue = queue_group::queue(&asked.group, &stored)?;
                self.lending.join(Join { post, producer: None, credit, level }, vec![queue]).await?
            }
            Order::Key => {
                let sieve = Sieve::compile(&stored.filter)?;
                self.ordered(&asked.group, &stored, &sieve, &post, credit, level)
            }
        };
        Ok(Consumer::new(Arc::new(Joined::new(end, Arc::clone(&self.members), asked.group))))
    }

    fn ordered(
        &self,
        group: &Segment,
        stored: &Stored,
        sieve: &Sieve,
        post: &Post,
        credit: u32,
        level: bool,
    ) -> Arc<dyn End> {
        let mut runners = self.runners();
        loop {
            self.sweep(&mut runners);
            let found = runners.get(group).map(Arc::clone);
            let fresh = found.is_none();
            let runner =
                found.unwrap_or_else(|| Runner::new(group.clone(), stored.clone(), sieve.clone(), self.around()));
            // A runner may end with its last consumer at any moment.
            let Some(consumer) = runner.join(post, credit) else { continue };
            if fresh {
                runner.begin();
                runners.insert(group.clone(), Arc::clone(&runner));
            }
            if level {
                runner.watch_level(consumer);
            }
            return runner.end(consumer);
        }
    }

    pub(super) async fn fanout(&self, spec: FanoutSpec, post: Post, credit: u32) -> Result<Consumer, JoinError> {
        let around = fanout::Surroundings {
            backend: Arc::clone(&self.backend),
            options: self.options.clone(),
            counters: Arc::clone(&self.counters),
            ended: self.ended.clone(),
            draining: self.draining.clone(),
        };
        fanout::open(spec, post, credit, around).await
    }

    pub(super) async fn direct(&self, who: DirectSpec, post: Post, credit: u32) -> Result<Consumer, JoinError> {
        let queues = direct::queues(&who, &self.options.retry);
        let join = Join { post, producer: Some(who.producer), credit, level: false };
        Ok(Consumer::new(self.lending.join(join, queues).await?))
    }

    pub(super) async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        let shared = &self.backend.capabilities().shared;
        let batch = if shared.is_empty() { batch } else { shared::redirected(batch, shared) };
        self.backend.publish(batch).await
    }

    pub(super) async fn groups(&self) -> Result<Vec<GroupInfo>, BackendError> {
        info::groups(self).await
    }

    pub(super) fn counts(&self) -> Counts {
        let running = self.runners().values().map(|runner| runner.counters()).collect::<Vec<_>>();
        running.iter().fold(self.counters.read(), Counts::with_group)
    }

    pub(super) async fn drain(&self) {
        self.members.drain();
        self.draining.cancel();
        self.lending.drain();
        let runners = self.all_runners();
        let given_up = futures_util::future::join_all(runners.iter().map(Runner::drain));
        if timeout(PATIENCE, given_up).await.is_err() {
            tracing::warn!("not every partition was given up in time; others take them when the lease ends");
        }
    }

    pub(super) async fn leave(&self) {
        self.draining.cancel();
        self.lending.drain();
        let runners = self.all_runners();
        let ends = futures_util::future::join_all(runners.iter().map(Runner::leave));
        let all = async { tokio::join!(ends, self.lending.leave()) };
        if timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("not everything was settled in time; it comes again when its leases end");
        }
        self.members.leave().await;
        self.ended.cancel();
    }

    fn around(&self) -> Around {
        Around {
            backend: Arc::clone(&self.backend),
            members: Arc::clone(&self.members),
            options: self.options.clone(),
            counters: Arc::clone(&self.counters),
            ended: self.ended.clone(),
        }
    }

    /// Forgets the runners that have ended, but for what they have counted.
    fn sweep(&self, runners: &mut BTreeMap<Segment, Arc<Runner>>) {
        runners.retain(|_, runner| {
            let over = runner.is_over();
            if over {
                self.counters.add_group(&runner.counters());
            }
            !over
        });
    }

    fn all_runners(&self) -> Vec<Arc<Runner>> {
        self.runners().values().map(Arc::clone).collect()
    }

    fn runners(&self) -> MutexGuard<'_, BTreeMap<Segment, Arc<Runner>>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    /// A member that is dropped without a word is a lost one.
    fn drop(&mut self) {
        self.ended.cancel();
    }
}
