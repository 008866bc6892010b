//! This member among the others: what it says of itself, what it sees.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use handbell_backend::{Backend, BackendError, Fault};
use handbell_protocol::{Segment, Topic, event::id::base32};
use tokio::sync::{
    Notify, broadcast,
    mpsc::{self, error::TrySendError},
    watch,
};
use tokio_util::sync::CancellationToken;

use super::{
    Agents, MemberId, Signal, View,
    beat::{Beat, Handover},
    listen, speak,
    view::Roster,
};
use crate::MemberOptions;

/// Words that wait to be published, and signals that wait to be read: beyond
/// that they are dropped, best effort as they are.
const WORDS: usize = 1_024;

/// How long the last heartbeat may take before the member goes without.
const FAREWELL: Duration = Duration::from_secs(1);

/// This process's part in class Members. Its tasks end with [`Members::leave`],
/// or when `ended` is cancelled.
#[derive(Debug)]
pub(crate) struct Members {
    shared: Arc<Shared>,
    ended: CancellationToken,
}

/// What the handle and the two tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: MemberId,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) heartbeat: Duration,
    pub(super) lease: Duration,
    pub(super) roster: Mutex<Roster>,
    pub(super) view: watch::Sender<Arc<View>>,
    pub(super) signals: broadcast::Sender<Arc<Signal>>,
    pub(super) words: mpsc::Sender<Word>,
    /// Something about this member differs: say so at once.
    pub(super) changed: Notify,
    routes: Mutex<BTreeMap<Segment, mpsc::Sender<Handover>>>,
    joined: Mutex<BTreeMap<Segment, usize>>,
}

/// What is said once.
#[derive(Debug)]
pub(super) enum Word {
    Signal(Signal),
    Handover(Handover),
}

// === impl Members ===

impl Members {
    /// Looks who is there, then begins to say that this one is.
    pub(crate) async fn join(
        backend: Arc<dyn Backend>,
        options: &MemberOptions,
        ended: CancellationToken,
    ) -> Result<Self, BackendError> {
        let id = fresh_id()?;
        let (words, spoken) = mpsc::channel(WORDS);
        let shared = Arc::new(Shared {
            roster: Mutex::new(Roster::new(id.clone(), options.lease)),
            id,
            backend,
            heartbeat: options.heartbeat,
            lease: options.lease,
            view: watch::Sender::default(),
            signals: broadcast::Sender::new(WORDS),
            words,
            changed: Notify::new(),
            routes: Mutex::default(),
            joined: Mutex::default(),
        });
        shared.show();
        let listener = listen::Listener::open(Arc::clone(&shared)).await?;
        speak::beat(&shared)
            .await
            .map_err(|why| BackendError::new(Fault::Unavailable, "tell that a member is there", why.to_string()))?;
        tokio::spawn(ended.clone().run_until_cancelled_owned(listener.run()));
        tokio::spawn(ended.clone().run_until_cancelled_owned(speak::run(Arc::clone(&shared), spoken)));
        Ok(Self { shared, ended })
    }

    pub(crate) fn id(&self) -> &MemberId {
        &self.shared.id
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.shared.view.borrow().clone()
    }

    /// Tells of each change of the view; several may come as one.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.shared.view.subscribe()
    }

    pub(crate) fn announce(&self, agents: Agents) {
        self.shared.change_own(|beat| beat.agents = Arc::new(agents));
    }

    /// From now on this member takes no new work.
    pub(crate) fn drain(&self) {
        self.shared.change_own(|beat| beat.draining = true);
    }

    /// One more consumer of a group is here.
    pub(crate) fn join_group(&self, group: &Segment) {
        *lock(&self.shared.joined).entry(group.clone()).or_default() += 1;
        self.shared.tell_groups();
    }

    /// One less is.
    pub(crate) fn leave_group(&self, group: &Segment) {
        if let Entry::Occupied(mut joined) = lock(&self.shared.joined).entry(group.clone()) {
            *joined.get_mut() -= 1;
            if *joined.get() == 0 {
                joined.remove();
            }
        }
        self.shared.tell_groups();
    }

    /// From now on this member would forward these shared topics.
    pub(crate) fn forward(&self, topics: BTreeSet<Topic>) {
        self.shared.change_own(|beat| beat.forwards = topics);
    }

    /// How long after its last heartbeat a member counts as there.
    pub(crate) fn lease(&self) -> Duration {
        self.shared.lease
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.shared.say(Word::Signal(signal));
    }

    pub(crate) fn signals(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.shared.signals.subscribe()
    }

    /// Says something about a partition to another member, best effort.
    pub(crate) fn hand_over(&self, to: MemberId, group: Segment, body: String) {
        let from = self.shared.id.clone();
        self.shared.say(Word::Handover(Handover { from, to, group, body }));
    }

    /// What other members say to this one about a group's partitions.
    pub(crate) fn handovers(&self, group: &Segment) -> mpsc::Receiver<Handover> {
        let (sender, receiver) = mpsc::channel(WORDS);
        lock(&self.shared.routes).insert(group.clone(), sender);
        receiver
    }

    /// Says goodbye and ends the tasks.
    pub(crate) async fn leave(&self) {
        self.shared.change_own(|beat| beat.leaving = true);
        match tokio::time::timeout(FAREWELL, speak::beat(&self.shared)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "left without a word; the others wait for the lease's end"),
            Err(_) => tracing::warn!("left without a word in time; the others wait for the lease's end"),
        }
        self.ended.cancel();
    }
}

/// Base32 of 80 random bits.
fn fresh_id() -> Result<MemberId, BackendError> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)
        .map_err(|why| BackendError::new(Fault::Unavailable, "draw a member's name", why.to_string()))?;
    Ok(MemberId::from(base32(&bytes).as_str()))
}

// === impl Shared ===

impl Shared {
    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        lock(&self.roster)
    }

    /// Publishes the view to those in this process who watch it.
    pub(super) fn show(&self) {
        let view = Arc::new(self.roster().view());
        self.view.send_replace(view);
    }

    pub(super) fn route(&self, word: Handover) {
        let mut routes = lock(&self.routes);
        let Some(route) = routes.get(&word.group) else { return };
        let group = word.group.clone();
        match route.try_send(word) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => drop(routes.remove(&group)),
            Err(TrySendError::Full(_)) => tracing::warn!(%group, "a member's word is dropped: too many wait"),
        }
    }

    fn change_own(&self, change: impl FnOnce(&mut Beat)) {
        let changed = self.roster().change_own(change);
        if changed {
            self.show();
            self.changed.notify_one();
        }
    }

    fn tell_groups(&self) {
        let groups = lock(&self.joined).keys().cloned().collect();
        self.change_own(|beat| beat.groups = groups);
    }

    fn say(&self, word: Word) {
        if self.words.try_send(word).is_err() {
            tracing::warn!("a word to other members is dropped: too many wait");
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
