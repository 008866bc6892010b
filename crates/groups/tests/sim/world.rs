//! The loop: what happens next, and what follows from it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use handbell_backend::{CellVersion, Class, Outgoing, Partition, Position};
use handbell_groups::{
    Alarm, Config, ConsumerId, Counters, Cursor, Group, Input, Leave, MemberId, Request, Sabotage, Token, Verdict,
};
use handbell_protocol::{
    Lane, Segment,
    frame::{Backoff, Order, RetryPolicy},
};

use handbell_test_support::Random;

use super::{
    check::Told,
    event::{Act, Event, Spec},
    log::Broker,
    process::Process,
};

/// How long a silent member counts as there.
pub(crate) const LEASE: u64 = 3_000;

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) partitions: u16,
    pub(crate) order: Order,
    pub(crate) consumers: (u64, u64),
    pub(crate) credit: (u64, u64),
    pub(crate) latency: (u64, u64),
    /// Percent of stores and publishes that end in doubt.
    pub(crate) in_doubt: u64,
    /// Percent of words between members that get lost.
    pub(crate) word_loss: u64,
    pub(crate) max_processing: u64,
    pub(crate) ack_wait: u64,
    pub(crate) retry: RetryPolicy,
    pub(crate) read_ahead: usize,
    pub(crate) sabotage: Option<Sabotage>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            partitions: 1,
            order: Order::Key,
            consumers: (1, 1),
            credit: (16, 16),
            latency: (1, 5),
            in_doubt: 0,
            word_loss: 0,
            max_processing: 900_000,
            ack_wait: 30_000,
            retry: RetryPolicy { backoff_type: Backoff::Exponential, ..RetryPolicy::default() },
            read_ahead: 1_024,
            sabotage: None,
        }
    }
}

/// What happens at some time.
pub(super) enum Action {
    Tick(usize),
    Poll(usize),
    Input(usize, Input),
    Execute(usize, Io),
    Act(usize, Token, Step),
    Publish(Spec),
    View(usize),
    Wake(usize),
    Lapse,
    Rejoin(usize),
    Respawn,
    Do(Box<dyn FnOnce(&mut World)>),
}

pub(super) enum Step {
    Act(Act),
    Verdict(Verdict),
}

pub(super) enum Io {
    Load(Request, Partition),
    Store(Request, Partition, Bytes, Option<CellVersion>, bool),
    Fetch(Request, Vec<Position>),
    Publish(Request, Box<Outgoing>, bool),
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) broker: Broker,
    pub(crate) processes: Vec<Process>,
    pub(crate) events: Vec<Event>,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) gaps: usize,
    pub(crate) told: Vec<Told>,
    /// What was handed out, in order: event and attempt.
    pub(crate) delivered: Vec<(usize, u32)>,
    /// How often a member was, or could be, taken for lost.
    pub(crate) losses: u32,
    /// Decoded cells.
    pub(crate) cursors: BTreeMap<Partition, Cursor>,
    pub(crate) verdicts: HashMap<(usize, Token), super::check::Said>,
    pub(crate) violations: Vec<String>,
    pub(crate) respawn: bool,
    /// Consumers do nothing bad any more.
    pub(crate) calm: bool,
    /// The broker refuses to store anything of that class.
    pub(crate) refused: Option<Class>,
    /// A log was reset: repeats are right.
    pub(crate) lenient: bool,
    /// The events of each key and lane, in order.
    pub(crate) keys: HashMap<(String, Lane), Vec<usize>>,
    /// Prints what happens, for whoever replays a seed.
    trace: bool,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    actions: HashMap<u64, Action>,
    counter: u64,
    /// When the last store of a process on a cell takes effect.
    pub(super) stores: HashMap<(usize, Partition), u64>,
    polls: BTreeSet<usize>,
    gone: BTreeSet<MemberId>,
    consumers: u64,
}

impl World {
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        Self {
            now: 1_000,
            settings,
            random: Random::new(seed),
            broker: Broker::default(),
            processes: vec![],
            events: vec![],
            alarms: vec![],
            gaps: 0,
            told: vec![],
            delivered: vec![],
            losses: 0,
            cursors: BTreeMap::new(),
            verdicts: HashMap::new(),
            violations: vec![],
            respawn: false,
            calm: false,
            refused: None,
            lenient: false,
            keys: HashMap::new(),
            trace: std::env::var_os("HANDBELL_SIM_TRACE").is_some(),
            queue: BinaryHeap::new(),
            actions: HashMap::new(),
            counter: 0,
            stores: HashMap::new(),
            polls: BTreeSet::new(),
            gone: BTreeSet::new(),
            consumers: 0,
        }
    }

    // === what tests and plans do ===

    /// A member comes, with its consumers.
    pub(crate) fn spawn(&mut self) -> usize {
        let count = self.random.between(self.settings.consumers.0, self.settings.consumers.1);
        let index = self.spawn_without_consumers();
        for _ in 0..count {
            self.join(index);
        }
        self.view_changed();
        index
    }

    pub(crate) fn spawn_without_consumers(&mut self) -> usize {
        let index = self.processes.len();
        let id = MemberId::from(&*format!("m{index}"));
        let mut config = Config::new(Segment::parse("reviewers").expect("a name"), id.clone());
        config.order = self.settings.order;
        config.ack_wait = Duration::from_millis(self.settings.ack_wait);
        config.max_processing = Duration::from_millis(self.settings.max_processing);
        config.retry = self.settings.retry.clone();
        config.filter = Some(Arc::new(|record| record.envelope.event.event_type == "TaskEvent"));
        config.lease = Duration::from_millis(LEASE);
        config.read_ahead_events = self.settings.read_ahead;
        config.first_token = (index as u64) << 40;
        config.seed = index as u64;
        config.sabotage = self.settings.sabotage;
        self.processes.push(Process::new(id, Group::new(config)));
        index
    }

    pub(crate) fn join(&mut self, process: usize) -> ConsumerId {
        let credit = self.random.between(self.settings.credit.0, self.settings.credit.1) as u32;
        self.consumers += 1;
        let consumer = ConsumerId(self.consumers);
        self.processes[process].consumers.insert(consumer);
        self.input(process, Input::Joined { consumer, credit });
        consumer
    }

    pub(crate) fn publish(&mut self, spec: Spec) -> usize {
        let index = self.events.len();
        let mut event = spec.event();
        let row = (Class::Ev, event.lane, event.partition);
        let envelope = spec.envelope(index, self.now);
        let position = self.broker.append(row, self.now, spec.topic(), envelope, spec.headers());
        event.origin_text = position.to_string();
        event.origin = Some(position);
        if let Some(key) = event.key.clone() {
            self.keys.entry((key, event.lane)).or_default().push(index);
        }
        self.events.push(event);
        self.poll_all();
        index
    }

    pub(crate) fn publish_many(&mut self, count: u64, spec: impl Fn(u64) -> Spec) -> Vec<usize> {
        (0..count).map(|n| self.publish(spec(n))).collect()
    }

    pub(crate) fn publish_at(&mut self, at: u64, spec: Spec) {
        self.at(at, Action::Publish(spec));
    }

    pub(crate) fn do_at(&mut self, at: u64, what: impl FnOnce(&mut Self) + 'static) {
        self.at(at, Action::Do(Box::new(what)));
    }

    /// kill -9.
    pub(crate) fn crash(&mut self, process: usize) {
        if !self.processes[process].alive {
            return;
        }
        self.losses += 1;
        let one = &mut self.processes[process];
        one.alive = false;
        one.silent_since.get_or_insert(self.now);
        one.out.clear();
        one.consumers.clear();
        self.forget_acks(process);
        self.at(self.now + LEASE, Action::Lapse);
        if self.respawn {
            let at = self.now + self.random.between(50, 4_000);
            self.at(at, Action::Respawn);
        }
    }

    /// SIGSTOP, and SIGCONT later.
    pub(crate) fn pause(&mut self, process: usize, millis: u64) {
        let one = &mut self.processes[process];
        if !one.alive || one.paused.is_some() {
            return;
        }
        one.paused = Some(vec![]);
        one.silent_since = Some(self.now);
        one.woken_at = self.now + millis;
        if millis >= LEASE {
            self.losses += 1;
        }
        self.at(self.now + LEASE, Action::Lapse);
        self.at(self.now + millis, Action::Wake(process));
    }

    /// Drain, the first step.
    pub(crate) fn drain(&mut self, process: usize) {
        if self.processes[process].paused.is_some() {
            self.do_at(self.now + 100, move |world| world.drain(process));
        } else if self.processes[process].alive {
            self.processes[process].draining = true;
            self.input(process, Input::Drain);
            self.view_changed();
        }
    }

    /// The end after a drain: counted, then gone once it is idle.
    pub(crate) fn leave(&mut self, process: usize) {
        if self.processes[process].paused.is_some() {
            self.do_at(self.now + 100, move |world| world.leave(process));
        } else if self.processes[process].alive {
            self.processes[process].draining = true;
            self.input(process, Input::Leave);
            self.view_changed();
            self.do_at(self.now + 20, move |world| world.depart(process));
        }
    }

    fn depart(&mut self, process: usize) {
        let one = &mut self.processes[process];
        if !one.alive {
        } else if one.paused.is_none() && one.group.is_idle() {
            one.alive = false;
            self.gone.insert(one.id.clone());
            self.view_changed();
        } else {
            self.do_at(self.now + 50, move |world| world.depart(process));
        }
    }

    /// A consumer goes.
    pub(crate) fn left(&mut self, process: usize, consumer: ConsumerId, how: Leave) {
        if self.processes[process].paused.is_some() {
            return self.do_at(self.now + 50, move |world| world.left(process, consumer, how));
        }
        if !self.processes[process].consumers.remove(&consumer) {
            return;
        }
        let out: Vec<_> =
            self.processes[process].out.iter().filter(|(_, out)| out.consumer == consumer).map(|(t, _)| *t).collect();
        for token in out {
            let out = self.processes[process].out.remove(&token);
            if let Some(out) = out.filter(|_| how == Leave::Lost) {
                let event = &mut self.events[out.event];
                event.failures += 1;
                event.lost += 1;
                // Once as a neighbour; more often only by misfortune.
                event.mistreated |= event.lost > 3 || self.settings.retry.max_retries < 3;
            }
        }
        self.input(process, Input::Left { consumer, how });
        self.view_changed();
    }

    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        self.run_until(end, |_| false);
    }

    /// Runs until `end` or until `done`, which is asked now and then.
    pub(crate) fn run_until(&mut self, end: u64, done: impl Fn(&Self) -> bool) -> bool {
        let mut ask = self.now;
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > end || !self.violations.is_empty() {
                break;
            }
            if at >= ask {
                if done(self) {
                    return true;
                }
                ask = at + 250;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            let action = self.actions.remove(&number).expect("each is queued once");
            self.perform(action);
        }
        if self.violations.is_empty() {
            self.now = self.now.max(end);
        }
        done(self)
    }

    pub(crate) fn counters(&self, process: usize) -> Counters {
        *self.processes[process].group.counters()
    }

    pub(crate) fn living(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|index| self.processes[*index].alive).collect()
    }

    // === the loop ===

    pub(super) fn at(&mut self, at: u64, action: Action) {
        self.counter += 1;
        self.queue.push(Reverse((at.max(self.now), self.counter)));
        self.actions.insert(self.counter, action);
    }

    pub(super) fn soon(&mut self, action: Action) {
        let at = self.now + self.random.between(self.settings.latency.0, self.settings.latency.1);
        self.at(at, action);
    }

    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Tick(process) => {
                if self.processes[process].next_tick <= self.now {
                    self.processes[process].next_tick = u64::MAX;
                    if self.processes[process].paused.is_none() {
                        self.input(process, Input::Tick);
                    }
                }
            }
            Action::Poll(process) => self.poll(process),
            Action::Input(process, input) => self.input(process, input),
            Action::Execute(process, io) => self.execute(process, io),
            Action::Act(process, token, step) => self.act(process, token, step),
            Action::Publish(spec) => drop(self.publish(spec)),
            Action::View(process) => {
                let view = self.view();
                self.input(process, view);
            }
            Action::Wake(process) => self.wake(process),
            Action::Lapse => self.view_changed(),
            Action::Rejoin(process) => {
                if self.processes[process].alive && !self.processes[process].draining {
                    self.join(process);
                    self.view_changed();
                }
            }
            Action::Respawn => drop(self.spawn()),
            Action::Do(what) => what(self),
        }
    }

    pub(crate) fn input(&mut self, process: usize, input: Input) {
        self.inputs(process, vec![input]);
    }

    /// Inputs that come together.
    fn inputs(&mut self, process: usize, inputs: Vec<Input>) {
        let one = &mut self.processes[process];
        if !one.alive {
            return;
        }
        if let Some(paused) = &mut one.paused {
            paused.extend(inputs);
            return;
        }
        if self.trace {
            inputs.iter().for_each(|input| println!("{:>6} m{process} <- {}", self.now, brief(input)));
        }
        let outputs = one.handle(self.now, inputs);
        for output in outputs {
            if self.trace {
                println!("{:>6} m{process} -> {}", self.now, brief(&output));
            }
            self.output(process, output);
        }
        self.after(process);
    }

    /// The next tick and the next poll.
    fn after(&mut self, process: usize) {
        let one = &mut self.processes[process];
        if let Some(deadline) = one.group.next_deadline() {
            let at = (deadline.as_millis() as u64).max(self.now + 1);
            if at < one.next_tick {
                one.next_tick = at;
                self.at(at, Action::Tick(process));
            }
        }
        self.poll_soon(process);
    }

    pub(super) fn poll_all(&mut self) {
        for process in 0..self.processes.len() {
            self.poll_soon(process);
        }
    }

    pub(super) fn poll_soon(&mut self, process: usize) {
        let one = &self.processes[process];
        if one.alive && !self.polls.contains(&process) && one.has_more(&self.broker) {
            self.polls.insert(process);
            self.soon(Action::Poll(process));
        }
    }

    fn poll(&mut self, process: usize) {
        self.polls.remove(&process);
        if !self.processes[process].alive || self.processes[process].paused.is_some() {
            return;
        }
        let max = self.random.between(1, 64) as usize;
        let inputs = self.processes[process].read(&self.broker, max);
        if self.now.is_multiple_of(2) {
            self.inputs(process, inputs);
        } else {
            inputs.into_iter().for_each(|input| self.input(process, input));
        }
        self.poll_soon(process);
    }

    fn wake(&mut self, process: usize) {
        let one = &mut self.processes[process];
        if one.alive && one.woken_at <= self.now {
            let inputs = one.paused.take().unwrap_or_default();
            one.silent_since = None;
            for input in inputs {
                self.input(process, input);
            }
            self.input(process, Input::Tick);
            self.view_changed();
        }
    }

    // === members ===

    pub(crate) fn is_there(&self, process: &Process) -> bool {
        !self.gone.contains(&process.id) && process.silent_since.is_none_or(|since| self.now < since + LEASE)
    }

    fn view(&self) -> Input {
        let there: Vec<_> = self.processes.iter().filter(|process| self.is_there(process)).collect();
        let members = there.iter().map(|process| process.id.clone()).collect();
        let able: Vec<_> = there.iter().filter(|p| !p.draining && !p.consumers.is_empty()).collect();
        let weight = |partition: u16, id: &MemberId| {
            let mut random =
                Random::new(u64::from(partition) << 32 | id.as_str()[1..].parse::<u64>().expect("m and a number"));
            random.draw()
        };
        let owner = |partition: u16| able.iter().max_by_key(|p| weight(partition, &p.id)).map(|p| p.id.clone());
        let owners =
            (0..self.settings.partitions).filter_map(|p| owner(p).map(|owner| (Partition(p), owner))).collect();
        Input::View { members, owners }
    }

    /// Each member hears of it in its own time.
    pub(super) fn view_changed(&mut self) {
        for process in self.living() {
            let at = self.now + self.random.between(1, 30);
            self.at(at, Action::View(process));
        }
    }
}

fn brief(what: &impl std::fmt::Debug) -> String {
    let mut text = format!("{what:?}");
    if let Some(at) = (text.len() > 300).then(|| text.floor_char_boundary(300)) {
        text.truncate(at);
    }
    text
}
