//! The shell of a session: carries inputs in and effects out, as the sidecar's
//! own shell does, and decides nothing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use handbell_backend::{PartitionCount, PublishError, Stored};
use handbell_delivery::{ConsumerEvent, ConsumerKey, Leave};
use handbell_protocol::{AgentName, Producer, Segment, Target, frame::ServerFrame, trace::TraceIds};
use handbell_sidecar::{
    policy::Policy,
    session::{Bounds, Directory, Effect, Input, Join, Now, Session, SessionSetup, Ticket},
};

use super::{
    Happening, World,
    book::{Book, Heard},
    hub::{Consumer, places},
};

/// Milliseconds that a session outlives its socket.
pub(crate) const RESUME_WINDOW: u64 = 3_000;

/// A session within its sidecar.
pub(crate) struct Sess {
    pub(crate) session: Session,
    pub(crate) process: usize,
    pub(crate) client: usize,
    pub(crate) conn: Option<usize>,
    /// It runs no more: it has ended, or its process was killed.
    pub(crate) over: bool,
    joining: Vec<(ConsumerKey, Join)>,
    joined: BTreeSet<ConsumerKey>,
    abandoned: BTreeSet<ConsumerKey>,
    pub(crate) last_mail: u64,
    tick_at: Option<u64>,
    pub(crate) book: Book,
}

/// Who is there, as of now.
struct Present {
    agents: Vec<AgentName>,
}

impl Directory for Present {
    fn is_present(&self, target: &Target) -> bool {
        match target {
            Target::Agent(agent) => self.agents.contains(agent),
            _ => !self.agents.is_empty(),
        }
    }

    fn agents(&self) -> Vec<AgentName> {
        self.agents.clone()
    }
}

fn secret(sess: usize) -> [u8; 32] {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(sess as u64).to_le_bytes());
    secret
}

impl World {
    pub(crate) fn clock(&self, sess: usize) -> Now {
        Now { wall: self.wall(self.sessions[sess].process), mono: Duration::from_millis(self.now) }
    }

    /// A session of its own for a client; `goes_on` when it resumes from elsewhere.
    pub(crate) fn new_session(&mut self, client: usize, process: usize, conn: usize, goes_on: bool) -> usize {
        let sess = self.sessions.len();
        let agent = self.clients[client].name.clone();
        let setup = SessionSetup {
            producer: Producer { agent, nonce: format!("n{client}"), born: self.clients[client].born },
            goes_on,
            member: format!("m{process}"),
            pools: vec![Segment::parse("p").expect("a segment")],
            capabilities: vec![],
            credit: self.settings.credit,
            secret: secret(sess),
            policy: Arc::new(Policy::default()),
            bounds: Bounds {
                publish_window: self.settings.window,
                max_event: 400,
                max_subscriptions: 4,
                max_calls: 1_000,
                resume_window: Duration::from_millis(RESUME_WINDOW),
                partitions: PartitionCount::default(),
            },
            trace: TraceIds::default(),
        };
        let now = Now { wall: self.wall(process), mono: Duration::from_millis(self.now) };
        let mut session = Session::new(setup, now);
        if let Some(planted) = self.settings.sabotage {
            session.plant(planted);
        }
        self.sessions.push(Sess {
            session,
            process,
            client,
            conn: Some(conn),
            over: false,
            joining: Vec::new(),
            joined: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            last_mail: 0,
            tick_at: None,
            book: Book::default(),
        });
        self.perform(sess, &Heard::Nothing);
        sess
    }

    /// Hands an input over and does what comes out of it. `heard` is what the
    /// checker knows of it.
    pub(crate) fn input(&mut self, sess: usize, input: Input, heard: &Heard) {
        if self.sessions[sess].over {
            return;
        }
        let living = self.sessions.iter().filter(|sess| !sess.over);
        let agents: BTreeSet<_> = living.map(|sess| self.clients[sess.client].name.clone()).collect();
        let present = Present { agents: agents.into_iter().collect() };
        let now = self.clock(sess);
        self.trace(|| format!("session {sess}: {heard:?} {}", brief(&input)));
        self.hear(sess, heard);
        self.sessions[sess].session.handle(now, &present, input);
        self.perform(sess, heard);
    }

    fn perform(&mut self, sess: usize, heard: &Heard) {
        for effect in self.sessions[sess].session.effects() {
            self.trace(|| format!("session {sess}: → {}", brief_effect(&effect)));
            self.check_effect(sess, heard, &effect);
            self.effect(sess, effect);
        }
        self.check_after(sess, heard);
        self.flush(sess);
        let due = self.sessions[sess].session.next_deadline().map(|due| due.as_millis() as u64);
        if let Some(due) = due
            && !self.sessions[sess].over
            && self.sessions[sess].tick_at.is_none_or(|at| at > due || at < self.now)
        {
            self.sessions[sess].tick_at = Some(due);
            self.at(due, Happening::Tick(sess, due));
        }
    }

    pub(crate) fn tick(&mut self, sess: usize, at: u64) {
        if self.sessions[sess].tick_at == Some(at) {
            self.sessions[sess].tick_at = None;
            self.input(sess, Input::Tick, &Heard::Nothing);
        }
    }

    fn effect(&mut self, sess: usize, effect: Effect) {
        match effect {
            Effect::Send(frame) => self.send(sess, frame),
            Effect::Publish(ticket, records) => self.hand_to_broker(sess, ticket, records),
            Effect::Join(key, join) => {
                self.sessions[sess].joining.push((key, join));
                let after = self.random.between(1, 60);
                self.later(after, Happening::Made(sess, key));
            }
            Effect::Credit(key, ceiling) => {
                self.with(sess, key, |consumer| consumer.ceiling = ceiling);
            }
            Effect::Reach(key, reachable) => {
                self.with(sess, key, |consumer| consumer.reachable = reachable);
            }
            Effect::Settle(key, verdicts) => {
                for (token, verdict) in verdicts {
                    self.settle(sess, key, token, &verdict);
                }
            }
            Effect::Extend(..) => {}
            Effect::Leave(key, how) => {
                self.sessions[sess].joined.remove(&key);
                self.sessions[sess].abandoned.insert(key);
                self.leave(sess, key, how);
            }
            Effect::Cancel(request) => {
                for other in 0..self.sessions.len() {
                    let after = self.random.between(1, 40);
                    self.later(after, Happening::Cancelled(other, request.clone()));
                }
            }
            Effect::Close(..) => self.close(sess),
            Effect::End(how) => self.end_session(sess, how),
        }
    }

    /// What a consumer is told counts only once it stands.
    fn with(&mut self, sess: usize, key: ConsumerKey, act: impl FnOnce(&mut Consumer)) {
        if self.sessions[sess].joined.contains(&key)
            && let Some(consumer) = self.hub.consumers.get_mut(&(sess, key))
        {
            act(consumer);
            self.later(1, Happening::Dispatch);
        }
    }

    /// The session runs no more; its consumers leave.
    pub(crate) fn end_session(&mut self, sess: usize, how: Leave) {
        self.close(sess);
        self.sessions[sess].over = true;
        let keys: Vec<_> = self.hub.consumers.keys().filter(|(s, _)| *s == sess).map(|(_, key)| *key).collect();
        for key in keys {
            self.leave(sess, key, how);
        }
    }

    pub(crate) fn consumer_made(&mut self, sess: usize, key: ConsumerKey) {
        let joining = &mut self.sessions[sess].joining;
        let Some(index) = joining.iter().position(|(joining, _)| *joining == key) else { return };
        let (_, join) = joining.swap_remove(index);
        let (Join::Direct { credit, .. } | Join::Group { credit, .. } | Join::Fanout { credit, .. }) = &join;
        let consumer = Consumer { places: places(sess, key, &join), ceiling: *credit, reachable: true, out: 0 };
        if self.sessions[sess].over || self.sessions[sess].abandoned.contains(&key) {
            return;
        }
        self.hub.consumers.insert((sess, key), consumer);
        let after = self.random.between(0, 25);
        self.later(after, Happening::Joined(sess, key));
        self.later(1, Happening::Dispatch);
    }

    pub(crate) fn consumer_joined(&mut self, sess: usize, key: ConsumerKey) {
        if self.sessions[sess].over || self.sessions[sess].abandoned.contains(&key) {
            return;
        }
        self.sessions[sess].joined.insert(key);
        self.input(sess, Input::Joined(key, Ok(())), &Heard::Joined(key));
    }

    pub(crate) fn mail(&mut self, sess: usize, key: ConsumerKey, event: ConsumerEvent) {
        let heard = Heard::of(key, &event);
        self.input(sess, Input::Consumer(key, event), &heard);
    }

    pub(crate) fn receipt(&mut self, sess: usize, ticket: Ticket, result: Result<Stored, PublishError>) {
        let heard = Heard::Receipt(ticket, result.clone());
        self.input(sess, Input::Receipt(ticket, result), &heard);
    }

    pub(crate) fn cancelled(&mut self, sess: usize, request: String) {
        let heard = Heard::Cancelled(request.clone());
        self.input(sess, Input::Cancelled(request), &heard);
    }

    pub(crate) fn finish(&mut self, sess: usize, code: u16) {
        self.input(sess, Input::Finish { code, reason: "by the simulation".into() }, &Heard::Nothing);
    }

    // === sidecars come and go ===

    /// `kill -9`: sessions, sockets and what wasn't stored are gone.
    pub(crate) fn kill(&mut self, process: usize) {
        self.processes[process].alive = false;
        let on_its_way = self.processes[process].pending.len() as u64;
        let stored = self.random.below(on_its_way + 1) as usize;
        self.processes[process].pending.truncate(stored);
        for sess in 0..self.sessions.len() {
            if self.sessions[sess].process == process && !self.sessions[sess].over {
                self.end_session(sess, Leave::Lost);
            }
        }
        let after = self.random.between(100, 1_500);
        self.later(after, Happening::Restarted(process));
    }

    pub(crate) fn drain(&mut self, process: usize) {
        self.processes[process].draining = true;
        for sess in 0..self.sessions.len() {
            if self.sessions[sess].process != process || self.sessions[sess].over {
                continue;
            }
            for delivery in self.unwritten(sess) {
                let heard = Heard::Unsent(delivery.clone());
                self.input(sess, Input::Unsent(delivery), &heard);
            }
            let grace = Duration::from_millis(800);
            self.input(sess, Input::Drain { grace, reason: "drain".into() }, &Heard::Drain);
        }
        self.later(800, Happening::GraceOver(process));
    }

    pub(crate) fn grace_over(&mut self, process: usize) {
        for sess in 0..self.sessions.len() {
            if self.sessions[sess].process == process {
                self.finish(sess, 1001);
            }
        }
        self.processes[process].alive = false;
        let after = self.random.between(50, 800);
        self.later(after, Happening::Restarted(process));
    }

    pub(crate) fn restarted(&mut self, process: usize) {
        let this = &mut self.processes[process];
        (this.alive, this.draining) = (true, false);
    }
}

fn brief(input: &Input) -> String {
    match input {
        Input::Frame(Ok(frame)) => format!("{frame:?}").chars().take(160).collect(),
        other => format!("{other:?}").chars().take(120).collect(),
    }
}

fn brief_effect(effect: &Effect) -> String {
    match effect {
        Effect::Send(ServerFrame::Deliver(deliver)) => format!(
            "deliver {} {} {} attempt {}",
            deliver.sub, deliver.delivery, deliver.envelope.event.id, deliver.attempt
        ),
        other => format!("{other:?}").chars().take(200).collect(),
    }
}
