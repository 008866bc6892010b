//! The world: a queue of happenings by virtual time, and everything that they
//! happen to.

use std::collections::{BTreeMap, VecDeque};

use handbell_backend::{PublishError, Stored};
use handbell_delivery::{ConsumerEvent, ConsumerKey};
use handbell_protocol::{Timestamp, frame::ServerFrame};
use handbell_sidecar::session::{Sabotage, Ticket};

use handbell_test_support::Random;

use super::{
    broker::{Broker, Pending},
    client::Client,
    end::Counts,
    hub::Hub,
    net::{Conn, Up},
    plan::Step,
    shell::Sess,
};

/// Virtual time begins here, so that a clock can also go back.
const BEGINNING: i64 = 1_800_000_000_000;

/// After so many happenings something goes round in a circle.
const RESTLESS: u64 = 40_000;

/// What differs between runs but for their courses.
pub(crate) struct Settings {
    /// How many publishes may be unanswered.
    pub(crate) window: usize,
    /// The ceilings of the subscriptions and of direct work.
    pub(crate) credit: u32,
    /// Milliseconds from a hand-over to its storing.
    pub(crate) broker_latency: (u64, u64),
    /// How many publishes in a hundred go wrong.
    pub(crate) broker_trouble: u64,
    /// Milliseconds that a frame is on its way.
    pub(crate) wire_latency: (u64, u64),
    /// How many verdicts in a hundred are followed by the same again.
    pub(crate) repeats: u64,
    pub(crate) sabotage: Option<Sabotage>,
}

/// Something happens.
pub(crate) enum Happening {
    /// As planned.
    Plan(Step),
    /// A frame of an agent arrives.
    Up(usize, Up),
    /// A frame arrives at an agent.
    Down(usize, Box<ServerFrame>),
    /// A slow reader reads again; or is taken for lost.
    ReadsAgain(usize),
    TooSlow(usize),
    /// The end of a connection is noticed, by the sidecar or the agent.
    SidecarNotices(usize),
    ClientNotices(usize),
    Connect(usize),
    Hello(usize),
    /// The broker takes the next publish of a sidecar; and answers.
    Store(usize),
    Receipt(usize, Ticket, Result<Stored, PublishError>),
    /// A consumer stands; and its session hears of it.
    Made(usize, ConsumerKey),
    Joined(usize, ConsumerKey),
    Mail(usize, ConsumerKey, ConsumerEvent),
    Dispatch,
    Deadline(usize),
    Tick(usize, u64),
    Cancelled(usize, String),
    TakenOver(usize),
    GraceOver(usize),
    Restarted(usize),
    /// An agent sends again what is open; goes on with a delivery.
    Resend(usize),
    Work(usize, String),
}

/// A sidecar's process.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) alive: bool,
    pub(crate) draining: bool,
    /// How far its wall clock is off, in milliseconds.
    pub(crate) clock_off: i64,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) last_store: u64,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) settings: Settings,
    pub(crate) calm: bool,
    /// Some wall clocks differ by more than an answer is kept.
    pub(crate) clocks_far_apart: bool,
    queue: BTreeMap<(u64, u64), Happening>,
    ordinal: u64,
    pub(crate) broker: Broker,
    pub(crate) hub: Hub,
    pub(crate) processes: Vec<Process>,
    pub(crate) sessions: Vec<Sess>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) clients: Vec<Client>,
    /// What each seq of an agent was told first: its ID and position.
    pub(crate) first_told: BTreeMap<(usize, u64), (String, String)>,
    /// How often a seq was told as stored now, not before.
    pub(crate) told_new: BTreeMap<(usize, u64), usize>,
    pub(crate) counts: Counts,
    pub(crate) violations: Vec<String>,
    pub(crate) verbose: bool,
}

impl World {
    pub(crate) fn new(random: Random, settings: Settings, processes: usize) -> Self {
        Self {
            now: 0,
            random,
            settings,
            calm: false,
            clocks_far_apart: false,
            queue: BTreeMap::new(),
            ordinal: 0,
            broker: Broker::default(),
            hub: Hub::default(),
            processes: (0..processes).map(|_| Process { alive: true, ..Process::default() }).collect(),
            sessions: Vec::new(),
            conns: Vec::new(),
            clients: Vec::new(),
            first_told: BTreeMap::new(),
            told_new: BTreeMap::new(),
            counts: Counts::default(),
            violations: Vec::new(),
            verbose: std::env::var_os("HANDBELL_SIM_TRACE").is_some(),
        }
    }

    pub(crate) fn violation(&mut self, what: impl std::fmt::Display) {
        self.violations.push(format!("at {}: {what}", self.now));
    }

    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>6} {}", self.now, what());
        }
    }

    /// The broker's clock, which nothing moves.
    pub(crate) fn true_time(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING + self.now as i64)
    }

    /// The wall clock of a sidecar.
    pub(crate) fn wall(&self, process: usize) -> Timestamp {
        Timestamp::from_millis(BEGINNING + self.now as i64 + self.processes[process].clock_off)
    }

    pub(crate) fn at(&mut self, at: u64, happening: Happening) {
        self.ordinal += 1;
        self.queue.insert((at.max(self.now), self.ordinal), happening);
    }

    pub(crate) fn later(&mut self, after: u64, happening: Happening) {
        self.at(self.now + after, happening);
    }

    /// Runs until nothing more happens, a promise is broken, or the time is over.
    pub(crate) fn run(&mut self, end: u64) {
        while self.violations.is_empty()
            && let Some(((at, _), happening)) = self.queue.pop_first()
        {
            if at > end {
                return;
            }
            self.now = at;
            if self.ordinal > RESTLESS {
                return self.violation("it never comes to rest");
            }
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Plan(step) => self.step(step),
            Happening::Up(conn, up) => self.up_arrives(conn, up),
            Happening::Down(conn, frame) => self.down_arrives(conn, *frame),
            Happening::ReadsAgain(conn) => self.reads_again(conn),
            Happening::TooSlow(conn) => self.too_slow(conn),
            Happening::SidecarNotices(conn) => self.sidecar_notices(conn),
            Happening::ClientNotices(conn) => self.client_notices(conn),
            Happening::Connect(client) => self.connect(client),
            Happening::Hello(conn) => self.hello_arrives(conn),
            Happening::Store(process) => self.store_next(process),
            Happening::Receipt(sess, ticket, result) => self.receipt(sess, ticket, result),
            Happening::Made(sess, key) => self.consumer_made(sess, key),
            Happening::Joined(sess, key) => self.consumer_joined(sess, key),
            Happening::Mail(sess, key, event) => self.mail(sess, key, event),
            Happening::Dispatch => self.dispatch(),
            Happening::Deadline(work) => self.deadline(work),
            Happening::Tick(sess, at) => self.tick(sess, at),
            Happening::Cancelled(sess, request) => self.cancelled(sess, request),
            Happening::TakenOver(sess) => self.finish(sess, 1008),
            Happening::GraceOver(process) => self.grace_over(process),
            Happening::Restarted(process) => self.restarted(process),
            Happening::Resend(client) => self.resend_due(client),
            Happening::Work(client, delivery) => self.work_on(client, &delivery),
        }
    }
}
