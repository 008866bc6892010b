//! One member's part in one ordered group: the machine and what surrounds it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use handbell_backend::{Backend, Outgoing, Partition};
use handbell_groups::{Config, ConsumerId, Group, Input, Output, Request, Token, Verdict};
use handbell_protocol::Segment;
use tokio::{runtime::Handle, sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    conductor,
    reader::{self, Wanted},
    store::Store,
};
use crate::{
    MemberOptions, View,
    clock::Clock,
    counts::Counters,
    members::Members,
    post::{Outbox, Post},
    settings::Stored,
    sieve::Sieve,
};

/// Each group of a process counts its tokens in a range of its own.
static GROUPS: AtomicU64 = AtomicU64::new(1);
const TOKENS_PER_GROUP: u32 = 40;

/// What surrounds a member's groups.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) members: Arc<Members>,
    pub(crate) options: MemberOptions,
    pub(crate) counters: Arc<Counters>,
    /// Ends everything.
    pub(crate) ended: CancellationToken,
}

/// A group's runner. Its tasks end with `ended`.
pub(crate) struct Runner {
    pub(super) group: Segment,
    pub(super) stored: Stored,
    pub(super) around: Around,
    pub(super) clock: Clock,
    state: Mutex<State>,
    /// The conductor looks again: time, or nothing is left to do.
    pub(super) conduct: Notify,
    /// Whoever waits for its end looks again.
    progress: Notify,
    pub(super) readers: [Notify; reader::COUNT],
    /// More cursors are to be stored.
    pub(super) store: Notify,
    next_consumer: AtomicU64,
    pub(super) ended: CancellationToken,
    runtime: Handle,
}

/// What the lock guards.
pub(super) struct State {
    pub(super) machine: Group,
    pub(super) consumers: BTreeMap<ConsumerId, Seat>,
    pub(super) outbox: Outbox,
    pub(super) held: BTreeSet<Partition>,
    pub(super) wanted: [Wanted; reader::COUNT],
    /// A reader of topics waits for room.
    pub(super) starved: bool,
    pub(super) stores: Vec<Store>,
    pub(super) storing: bool,
    pub(super) loads: Vec<(Request, Partition)>,
    pub(super) loading: bool,
    pub(super) publishes: VecDeque<(Request, Outgoing)>,
    pub(super) publishing: bool,
    /// When the conductor looks next.
    pub(super) looks_at: Option<Instant>,
    /// Somebody waits for its end.
    ending: bool,
    /// It has ended.
    over: bool,
    outputs: Vec<Output>,
}

/// A consumer, as far as the runner must know it.
pub(super) struct Seat {
    pub(super) post: Post,
    /// Verdicts that are not answered yet.
    pub(super) pending: usize,
    /// It has left, and only waits for these answers.
    pub(super) left: bool,
}

// === impl Runner ===

impl Runner {
    /// One that holds nothing and does nothing yet.
    pub(crate) fn new(group: Segment, stored: Stored, sieve: Sieve, around: Around) -> Arc<Self> {
        let config = config(&group, &stored, sieve, &around);
        let state = State {
            machine: Group::new(config),
            consumers: BTreeMap::new(),
            outbox: Outbox::default(),
            held: BTreeSet::new(),
            wanted: Default::default(),
            starved: false,
            stores: Vec::new(),
            storing: false,
            loads: Vec::new(),
            loading: false,
            publishes: VecDeque::new(),
            publishing: false,
            looks_at: None,
            ending: false,
            over: false,
            outputs: Vec::new(),
        };
        Arc::new(Self {
            group,
            stored,
            clock: Clock::start(),
            state: Mutex::new(state),
            conduct: Notify::new(),
            progress: Notify::new(),
            readers: Default::default(),
            store: Notify::new(),
            next_consumer: AtomicU64::new(1),
            ended: around.ended.child_token(),
            runtime: Handle::current(),
            around,
        })
    }

    /// Begins to work, with its first consumer.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.spawn(conductor::run(Arc::clone(self)));
        reader::spawn_all(self);
    }

    /// A consumer joins; `None` when the runner has ended and another one must
    /// take its place.
    pub(crate) fn join(self: &Arc<Self>, post: &Post, credit: u32) -> Option<ConsumerId> {
        let consumer = ConsumerId(self.next_consumer.fetch_add(1, Ordering::Relaxed));
        let mut state = self.state();
        if state.over {
            return None;
        }
        state.consumers.insert(consumer, Seat { post: post.clone(), pending: 0, left: false });
        drop(state);
        self.tell(Input::Joined { consumer, credit });
        Some(consumer)
    }

    /// A consumer has left; it still hears of what it had settled.
    pub(super) fn gone(&self, consumer: ConsumerId) {
        let mut state = self.state();
        if let Some(seat) = state.consumers.get_mut(&consumer) {
            seat.left = true;
            if seat.pending == 0 {
                state.consumers.remove(&consumer);
            }
        }
        self.conduct.notify_one();
    }

    pub(super) fn settle(self: &Arc<Self>, consumer: ConsumerId, verdicts: Vec<(Token, Verdict)>) {
        if let Some(seat) = self.state().consumers.get_mut(&consumer) {
            seat.pending += verdicts.len();
        }
        self.tell(Input::Settle { consumer, verdicts });
    }

    /// Gives every partition up; waits until that is stored.
    pub(crate) async fn drain(self: &Arc<Self>) {
        self.state().ending = true;
        self.tell(Input::Drain);
        while !self.state().held.is_empty() {
            self.progress.notified().await;
        }
    }

    /// Ends: waits until everything is stored.
    pub(crate) async fn leave(self: &Arc<Self>) {
        self.state().ending = true;
        self.tell(Input::Leave);
        while !self.state().machine.is_idle() {
            self.progress.notified().await;
        }
        self.state().over = true;
        self.ended.cancel();
    }

    /// Ends it if nothing is left to do.
    pub(super) fn end_if_idle(&self) -> bool {
        let mut state = self.state();
        let deserted = state.consumers.values().all(|seat| seat.left);
        state.over |= deserted && state.held.is_empty() && state.machine.is_idle();
        if state.over {
            self.ended.cancel();
        }
        state.over
    }

    /// Whether it has ended, for good.
    pub(crate) fn is_over(&self) -> bool {
        self.state().over
    }

    /// What it has counted.
    pub(crate) fn counters(&self) -> handbell_groups::Counters {
        *self.state().machine.counters()
    }

    /// Tells the machine something and does what it asks for.
    pub(crate) fn tell(self: &Arc<Self>, input: Input) {
        self.tell_all([input]);
    }

    /// The same for several, with one wake-up.
    pub(super) fn tell_all(self: &Arc<Self>, inputs: impl IntoIterator<Item = Input>) {
        let mut state = self.state();
        let mut outputs = std::mem::take(&mut state.outputs);
        state.machine.handle_all(self.clock.now(), inputs, &mut outputs);
        outputs.drain(..).for_each(|output| self.perform(&mut state, output));
        state.outputs = outputs;
        state.outbox.flush();
        self.wake(&mut state);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(self.ended.clone().run_until_cancelled_owned(task));
    }

    /// Who is there and who should hold what.
    pub(super) fn view_input(&self, view: &View) -> Input {
        let count = self.around.backend.capabilities().partitions;
        let owner = |partition| Some((partition, view.owner(&self.group, partition)?.clone()));
        Input::View {
            members: view.members().map(|(member, _)| member.clone()).collect(),
            owners: count.iter().filter_map(owner).collect(),
        }
    }

    fn wake(&self, state: &mut State) {
        if state.starved && state.machine.read_budget() > 0 {
            state.starved = false;
            reader::wake_topics(&self.readers);
        }
        let next = state.machine.next_deadline().map(|at| self.clock.instant(at));
        let late = next.is_some_and(|next| state.looks_at.is_none_or(|at| next < at));
        if late || state.consumers.values().all(|seat| seat.left) {
            self.conduct.notify_one();
        }
        if state.ending {
            self.progress.notify_one();
        }
    }
}

fn config(group: &Segment, stored: &Stored, sieve: Sieve, around: &Around) -> Config {
    let counters = Arc::clone(&around.counters);
    Config {
        order: stored.order,
        ack_wait: stored.ack_wait,
        max_processing: around.options.max_processing,
        retry: stored.retry.clone(),
        filter: Some(Arc::new(move |record| sieve.passes(&record.envelope, &counters))),
        lease: around.options.lease,
        read_ahead_events: around.options.read_ahead_events,
        read_ahead_bytes: around.options.read_ahead_bytes,
        first_token: GROUPS.fetch_add(1, Ordering::Relaxed) << TOKENS_PER_GROUP,
        seed: getrandom::u64().unwrap_or_default(),
        ..Config::new(group.clone(), around.members.id().clone())
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("group", &self.group).finish_non_exhaustive()
    }
}
