//! The desk with its queues: every change of its state goes through
//! [`Lending::with`], which does at once what the desk has decided.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use handbell_backend::{Backend, BackendError, CellName, Queue, QueueSpec};
use tokio::{runtime::Handle, sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    desk::{Desk, Renewal, Rules, SeatId, SourceId},
    end::DeskEnd,
    pull, settle, timer,
};
use crate::{Leave, MemberId, View, consumer_end::End, counts::Counters, identity::Shares, post::Post, sieve::Sieve};

/// Where the current view comes from.
pub(crate) type Views = Arc<dyn Fn() -> Arc<View> + Send + Sync>;

/// What surrounds a member's desk.
pub(crate) struct Surroundings {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) member: MemberId,
    pub(crate) views: Views,
    pub(crate) counters: Arc<Counters>,
    pub(crate) max_processing: Duration,
    /// Ends the desk's tasks.
    pub(crate) ended: CancellationToken,
}

/// A member's desk for all of its queues.
pub(crate) struct Lending {
    state: Mutex<State>,
    pub(super) timer: Arc<Notify>,
    pub(super) around: Surroundings,
    next: AtomicU64,
    runtime: Handle,
    /// Pullers and settlers.
    workers: TaskTracker,
}

struct State {
    desk: Desk,
    sources: BTreeMap<SourceId, Arc<OpenSource>>,
    by_name: BTreeMap<CellName, SourceId>,
    /// Sources whose settler is at work.
    settling: BTreeSet<SourceId>,
    /// When the timer looks next.
    looks_at: Option<Instant>,
}

/// A queue that a consumer wants, and how its records are handled.
#[derive(Clone)]
pub(crate) struct QueueOf {
    pub(crate) spec: QueueSpec,
    pub(crate) rules: Rules,
    pub(crate) sieve: Arc<Sieve>,
}

/// A consumer that wants to sit at the desk.
pub(crate) struct Join {
    pub(crate) post: Post,
    pub(crate) producer: Option<String>,
    pub(crate) credit: u32,
    pub(crate) level: bool,
}

/// What a source's tasks share.
pub(super) struct OpenSource {
    pub(super) id: SourceId,
    pub(super) receiver: Arc<str>,
    pub(super) queue: Box<dyn Queue>,
    pub(super) sieve: Arc<Sieve>,
    pub(super) wake: Notify,
}

// === impl Lending ===

impl Lending {
    pub(crate) fn new(around: Surroundings) -> Arc<Self> {
        let desk = Desk::new(around.max_processing, Shares::seeded(), Arc::clone(&around.counters));
        let state = State {
            desk,
            sources: BTreeMap::new(),
            by_name: BTreeMap::new(),
            settling: BTreeSet::new(),
            looks_at: None,
        };
        let ended = around.ended.clone();
        let lending = Arc::new(Self {
            state: Mutex::new(state),
            timer: Arc::default(),
            around,
            next: AtomicU64::new(0),
            runtime: Handle::current(),
            workers: TaskTracker::new(),
        });
        tokio::spawn(ended.run_until_cancelled_owned(timer::run(Arc::downgrade(&lending), Arc::clone(&lending.timer))));
        lending
    }

    /// Seats a consumer at some queues, which are opened where they aren't.
    /// Cancel-safe: nobody sits before all are open.
    pub(crate) async fn join(self: &Arc<Self>, join: Join, queues: Vec<QueueOf>) -> Result<Arc<dyn End>, BackendError> {
        let mut opened = BTreeMap::new();
        loop {
            // A queue may be closed by its last consumer while another one opens.
            for queue in self.missing(&queues, &opened) {
                let end = self.around.backend.queue(queue.spec.clone()).await?;
                opened.insert(queue.spec.name.clone(), end);
            }
            if self.missing(&queues, &opened).is_empty() {
                break;
            }
        }
        let seat = SeatId(self.next.fetch_add(1, Ordering::Relaxed));
        self.seat(seat, join, queues, opened);
        Ok(Arc::new(DeskEnd::new(Arc::clone(self), seat)))
    }

    /// Nothing new is handed out.
    pub(crate) fn drain(self: &Arc<Self>) {
        self.with(Desk::drain);
    }

    /// All that are still seated leave, lost; waits until everything is settled.
    pub(crate) async fn leave(self: &Arc<Self>) {
        self.with(|desk| desk.seated().into_iter().for_each(|seat| desk.leave(seat, Leave::Lost)));
        self.workers.close();
        self.workers.wait().await;
    }

    /// The records that a queue has out with this member's consumers.
    pub(crate) fn unsettled(&self, name: &CellName) -> Vec<Arc<handbell_backend::Record>> {
        let state = self.state();
        let source = state.by_name.get(name).copied();
        source.map(|id| state.desk.unsettled(id).map(Arc::clone).collect()).unwrap_or_default()
    }

    /// Changes the desk, then does what it has decided: letters are posted in
    /// the order of the decisions, pullers are woken, settlers begin.
    pub(super) fn with<R>(self: &Arc<Self>, change: impl FnOnce(&mut Desk) -> R) -> R {
        self.with_state(|state| change(&mut state.desk))
    }

    /// The timer's turn: ends leases, and tells what to renew and when to look again.
    pub(super) fn tick(self: &Arc<Self>, now: Instant) -> (Vec<Renewal>, Option<Instant>) {
        self.with_state(|state| {
            state.desk.tick(now.into_std());
            let due = state.desk.renewals(now.into_std());
            state.looks_at = state.desk.next_deadline().map(Instant::from_std);
            (due, state.looks_at)
        })
    }

    fn with_state<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = change(&mut state);
        state.desk.outbox.flush();
        state.wake_pullers();
        let begin = state.begin_settling();
        let timer = state.timer_is_late();
        drop(state);
        if timer {
            self.timer.notify_one();
        }
        for source in begin {
            let settler = settle::run(Arc::clone(self), source);
            let settler = self.around.ended.clone().run_until_cancelled_owned(settler);
            self.workers.spawn_on(settler, &self.runtime);
        }
        result
    }

    pub(super) fn source(&self, id: SourceId) -> Option<Arc<OpenSource>> {
        self.state().sources.get(&id).cloned()
    }

    /// The settler of a source goes home, unless there is something again.
    pub(super) fn settler_is_done(&self, id: SourceId) -> bool {
        let mut state = self.state();
        let done = state.desk.settling_is_empty(id);
        if done {
            state.settling.remove(&id);
            state.forget_if_done(id);
        }
        done
    }

    /// The puller of a source goes home.
    pub(super) fn puller_is_done(&self, id: SourceId) {
        let mut state = self.state();
        state.desk.puller_is_done(id);
        state.forget_if_done(id);
    }

    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(self.around.ended.clone().run_until_cancelled_owned(task));
    }

    fn missing<'a, V>(&self, queues: &'a [QueueOf], opened: &BTreeMap<CellName, V>) -> Vec<&'a QueueOf> {
        let state = self.state();
        let missing =
            |queue: &&QueueOf| !state.by_name.contains_key(&queue.spec.name) && !opened.contains_key(&queue.spec.name);
        queues.iter().filter(missing).collect()
    }

    fn seat(
        self: &Arc<Self>,
        seat: SeatId,
        join: Join,
        queues: Vec<QueueOf>,
        mut opened: BTreeMap<CellName, Box<dyn Queue>>,
    ) {
        let mut ids = Vec::new();
        let mut fresh = Vec::new();
        let mut state = self.state();
        for queue in queues {
            let id = match (state.by_name.get(&queue.spec.name), opened.remove(&queue.spec.name)) {
                (Some(id), _) => *id,
                (None, Some(end)) => {
                    let id = SourceId(self.next.fetch_add(1, Ordering::Relaxed));
                    fresh.push(state.open(id, queue, end));
                    id
                }
                (None, None) => continue,
            };
            ids.push(id);
        }
        state.desk.seat(seat, join.post, join.producer, &ids, join.level);
        drop(state);
        for source in fresh {
            // A leave waits for it too: what a pull brings last is still handed back.
            let puller = pull::run(Arc::clone(self), source);
            self.workers.spawn_on(self.around.ended.clone().run_until_cancelled_owned(puller), &self.runtime);
        }
        self.with(|desk| desk.credit(seat, join.credit));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lending").finish_non_exhaustive()
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        // The timer sees that nobody is left.
        self.timer.notify_one();
    }
}

// === impl State ===

impl State {
    fn open(&mut self, id: SourceId, queue: QueueOf, end: Box<dyn Queue>) -> Arc<OpenSource> {
        let receiver = Arc::clone(&queue.rules.receiver);
        self.desk.open(id, queue.rules);
        let source = Arc::new(OpenSource { id, receiver, queue: end, sieve: queue.sieve, wake: Notify::new() });
        self.sources.insert(id, Arc::clone(&source));
        self.by_name.insert(queue.spec.name, id);
        source
    }

    /// Also takes the names of queues that nobody sits at any more, so that
    /// the next consumer opens them anew.
    fn wake_pullers(&mut self) {
        for id in std::mem::take(&mut self.desk.woken) {
            if self.desk.is_deserted(id) {
                self.by_name.retain(|_, named| *named != id);
            }
            if let Some(source) = self.sources.get(&id) {
                source.wake.notify_one();
            }
        }
    }

    fn begin_settling(&mut self) -> Vec<Arc<OpenSource>> {
        let dirty = std::mem::take(&mut self.desk.dirty);
        let fresh: Vec<SourceId> = dirty.into_iter().filter(|id| self.settling.insert(*id)).collect();
        fresh.iter().filter_map(|id| self.sources.get(id).cloned()).collect()
    }

    fn timer_is_late(&self) -> bool {
        let next = self.desk.next_deadline().map(Instant::from_std);
        next.is_some_and(|next| self.looks_at.is_none_or(|at| next < at))
    }

    fn forget_if_done(&mut self, id: SourceId) {
        if self.desk.is_done(id) && !self.settling.contains(&id) {
            self.desk.close(id);
            self.sources.remove(&id);
        }
    }
}
