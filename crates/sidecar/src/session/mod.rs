//! The session: what an agent may do and what it is told, as a pure state
//! machine. Its shell reads and writes the socket, talks to the backend and to
//! the consumers, and decides nothing.
//!
//! | the agent sends | here |
//! |---|---|
//! | `publish`, `request` | `publish.rs`, `window.rs`, `calls.rs` |
//! | `subscribe`, `unsubscribe`, `credit` | `subscribe.rs` |
//! | `ack`, `nack`, `reject`, `extend`, `release`, `respond` | `settle.rs`, `answer.rs` |
//! | and is told `deliver`, `reply`, `gap`, … | `receive.rs`, `deliveries.rs` |

mod answer;
mod calls;
mod deliveries;
mod io;
mod publish;
mod receive;
mod records;
#[cfg(feature = "sabotage")]
mod sabotage;
mod settle;
mod subscribe;
#[cfg(test)]
mod tests;
mod window;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::PartitionCount;
use handbell_delivery::{ConsumerKey, DirectSpec, Leave};
use handbell_protocol::{
    AgentName, Producer, Refusal, Segment,
    event::id::PublishIds,
    frame::{ClientFrame, ErrorFrame, FrameError, Gone, Rejected, ServerFrame},
    trace::TraceIds,
};

pub use io::{Directory, Effect, Input, Join, Now, Ticket};
#[cfg(feature = "sabotage")]
#[doc(hidden)]
pub use sabotage::Sabotage;

use self::{
    answer::Answering, calls::Calls, deliveries::Deliveries, publish::Purpose, settle::Storing, subscribe::Subs,
    window::Window,
};
use crate::policy::Policy;

/// How long a list of effects is kept for the next inputs.
const KEPT_EFFECTS: usize = 128;

/// The consumer of direct work, replies included.
pub const DIRECT: ConsumerKey = ConsumerKey(0);

/// What a session is made with.
#[derive(Clone, Debug)]
pub struct SessionSetup {
    /// The authenticated agent's run.
    pub producer: Producer,
    /// Whether the producer goes on from another session.
    pub goes_on: bool,
    /// The sidecar's part in `members`: answers to calls find it by this.
    pub member: String,
    /// Pools whose work the agent shares.
    pub pools: Vec<Segment>,
    /// What the agent can do.
    pub capabilities: Vec<Segment>,
    /// The ceiling for direct work.
    pub credit: u32,
    /// Makes delivery IDs unguessable.
    pub secret: [u8; 32],
    /// What the agent may do.
    pub policy: Arc<Policy>,
    /// Bounds.
    pub bounds: Bounds,
    /// Derives trace context.
    pub trace: TraceIds,
}

/// The bounds of a session.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many publishes may be unanswered.
    pub publish_window: usize,
    /// The largest event in bytes.
    pub max_event: usize,
    /// How many subscriptions there may be.
    pub max_subscriptions: usize,
    /// How many calls may be open.
    pub max_calls: usize,
    /// How long a session outlives its socket.
    pub resume_window: Duration,
    /// How many partitions the namespace has.
    pub partitions: PartitionCount,
}

/// One agent's session.
#[derive(Debug)]
pub struct Session {
    agent: AgentName,
    ids: PublishIds,
    producer_text: Arc<str>,
    member: String,
    policy: Arc<Policy>,
    bounds: Bounds,
    trace: TraceIds,
    window: Window,
    deliveries: Deliveries,
    subs: Subs,
    calls: Calls,
    purposes: BTreeMap<Ticket, Purpose>,
    storing: BTreeMap<u64, Storing>,
    answering: BTreeMap<Box<str>, Answering>,
    next_ticket: u64,
    phase: Phase,
    /// The agent has said `bye`.
    leaving: bool,
    /// Since when there is no socket.
    lost_at: Option<Duration>,
    out: Vec<Effect>,
    #[cfg(feature = "sabotage")]
    sabotage: Option<Sabotage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Live,
    Draining,
    Over,
}

impl Session {
    /// A session whose `welcome` has been sent; take its first effects at once.
    #[must_use]
    pub fn new(setup: SessionSetup, now: Now) -> Self {
        let producer_text: Arc<str> = setup.producer.to_string().into();
        let agent = setup.producer.agent.clone();
        let mut session = Self {
            window: Window::new(setup.bounds.publish_window, setup.goes_on),
            deliveries: Deliveries::new(setup.secret),
            subs: Subs::new(setup.credit),
            calls: Calls::default(),
            purposes: BTreeMap::new(),
            storing: BTreeMap::new(),
            answering: BTreeMap::new(),
            next_ticket: 0,
            phase: Phase::Live,
            leaving: false,
            lost_at: None,
            out: Vec::new(),
            #[cfg(feature = "sabotage")]
            sabotage: None,
            member: setup.member,
            policy: setup.policy,
            bounds: setup.bounds,
            trace: setup.trace,
            ids: PublishIds::new(&setup.producer),
            producer_text,
            agent,
        };
        let spec = DirectSpec {
            agent: session.agent.clone(),
            producer: session.producer_text.to_string(),
            pools: setup.pools,
            capabilities: setup.capabilities,
        };
        session.out.push(Effect::Join(DIRECT, Join::Direct { spec, credit: setup.credit }));
        session.subscribe_declared(now);
        session
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// Takes one input. What is to be done comes out of [`Session::effects`].
    pub fn handle(&mut self, now: Now, directory: &dyn Directory, input: Input) {
        if self.phase == Phase::Over {
            return;
        }
        match input {
            Input::Frame(Ok(frame)) => self.frame(now, directory, frame),
            Input::Frame(Err(error)) => self.bad_frame(*error),
            Input::Receipt(ticket, result) => self.receipt(now, ticket, result),
            Input::Joined(key, result) => self.joined(now, key, result),
            Input::Consumer(key, event) => self.consumer_event(now, key, event),
            Input::Cancelled(request) => self.request_cancelled(&request),
            Input::Attached => self.attached(),
            Input::Detached => self.detached(now),
            Input::Drain { grace, reason } => self.drain(grace, reason),
            Input::Finish { code, reason } => {
                self.out.push(Effect::Close(code, reason));
                self.end(Leave::Lost);
            }
            Input::Unsent(delivery) => self.unsent(&delivery),
            Input::Tick => self.tick(now, directory),
        }
    }

    /// How many answers, numbers of outputs and causes are kept.
    #[cfg(test)]
    fn kept(&self) -> (usize, usize, usize) {
        let (answers, outputs) = self.window.kept();
        (answers, outputs, self.deliveries.kept())
    }

    /// Takes what is to be done, in order.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.out)
    }

    /// Gives the list of [`Session::effects`] back, to be filled again; one that
    /// has become long is let go.
    pub fn reuse(&mut self, mut effects: Vec<Effect>) {
        if self.out.is_empty() && effects.capacity() <= KEPT_EFFECTS {
            effects.clear();
            self.out = effects;
        }
    }

    /// Whether the agent has that delivery in its hands.
    #[must_use]
    pub fn holds(&self, delivery: &str) -> bool {
        self.deliveries.has(delivery)
    }

    /// When [`Input::Tick`] is due next, by [`Now::mono`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let lost = self.lost_at.map(|lost| lost + self.bounds.resume_window);
        [lost, self.calls.next_deadline()].into_iter().flatten().min()
    }

    /// Whether the session is over: nothing more comes out of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    fn frame(&mut self, now: Now, directory: &dyn Directory, frame: ClientFrame) {
        if self.leaving {
            return;
        }
        match frame {
            ClientFrame::Hello(_) => {
                self.bad_frame(fault("hello", "the session stands already; hello is sent once a connection"));
            }
            ClientFrame::Publish(publish) => self.publish(now, directory, publish),
            ClientFrame::Request(request) => self.request(now, directory, request),
            ClientFrame::Subscribe(subscribe) => self.subscribe(now, subscribe),
            ClientFrame::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            ClientFrame::Credit(credit) => self.credit(credit),
            ClientFrame::Ack(ack) => self.ack(now, directory, ack),
            ClientFrame::Nack(nack) => self.nack(nack),
            ClientFrame::Reject(reject) => self.reject(now, reject),
            ClientFrame::Extend(extend) => self.extend(extend),
            ClientFrame::Release(release) => self.release(release),
            ClientFrame::Respond(respond) => self.respond(now, respond),
            ClientFrame::Cancel(cancel) => self.cancel(now, cancel),
            ClientFrame::Bye => {
                self.leaving = true;
                self.leave_if_done();
            }
        }
    }

    fn bad_frame(&mut self, error: FrameError) {
        if let Some(seq) = error.seq {
            let refusal = Refusal::new(FrameError::CODE, error.reason);
            let publishes = matches!(error.op.as_deref(), Some("publish" | "request"));
            let refusal = if publishes { self.window.refuse(seq, refusal) } else { refusal };
            self.rejected_seq(seq, refusal);
            return;
        }
        let FrameError { reason, op, sub, seq, delivery, call } = error;
        self.send(ServerFrame::Error(ErrorFrame {
            code: FrameError::CODE,
            reason,
            op_ref: op,
            sub,
            seq,
            delivery,
            call,
        }));
    }

    // === the session's life ===

    fn attached(&mut self) {
        self.lost_at = None;
        self.window.resumed();
        self.reach(true);
        self.tell_subscribed();
        #[cfg(feature = "sabotage")]
        if self.sabotaged(Sabotage::NotToldAgain) {
            return;
        }
        for id in self.deliveries.unsettled() {
            if let Some(held) = self.deliveries.get(&id) {
                let frame = deliveries::frame_of(&id, held, &self.trace);
                self.send(frame);
            }
        }
    }

    fn detached(&mut self, now: Now) {
        self.lost_at = Some(now.mono);
        if self.phase == Phase::Draining && !self.leaving {
            return self.end(Leave::Lost);
        }
        self.reach(false);
    }

    /// Tells the consumers whether the agent can be reached; nothing new is
    /// handed out while it can't.
    fn reach(&mut self, reachable: bool) {
        for (key, ceiling) in self.subs.ceilings() {
            let draining = self.phase == Phase::Draining;
            self.out.push(Effect::Reach(key, reachable));
            self.out.push(Effect::Credit(key, if reachable && !draining { ceiling } else { 0 }));
        }
    }

    fn drain(&mut self, grace: Duration, reason: String) {
        if self.phase != Phase::Live {
            return;
        }
        self.phase = Phase::Draining;
        for (key, _) in self.subs.ceilings() {
            self.out.push(Effect::Credit(key, 0));
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.send(ServerFrame::Goaway { grace_ms, reason });
        if self.lost_at.is_some() {
            self.end(Leave::Lost);
        }
    }

    fn tick(&mut self, now: Now, directory: &dyn Directory) {
        if self.lost_at.is_some_and(|lost| lost + self.bounds.resume_window <= now.mono) {
            return self.end(Leave::Lost);
        }
        self.calls_due(now, directory);
    }

    /// After `bye`: the session ends when the broker has answered what was
    /// handed over, so that an `ack` just before it counts.
    fn leave_if_done(&mut self) {
        if self.leaving && self.purposes.is_empty() {
            self.out.push(Effect::Close(1000, "bye".into()));
            self.end(Leave::Clean);
        }
    }

    fn end(&mut self, how: Leave) {
        self.out.push(Effect::End(how));
        self.phase = Phase::Over;
    }

    // === telling the agent ===

    /// Writes a frame, if there is a socket: what is lost with one is asked
    /// for again, or told again, after the resume.
    fn send(&mut self, frame: ServerFrame) {
        if self.lost_at.is_none() {
            self.out.push(Effect::Send(frame));
        }
    }

    fn gone(&mut self, delivery: &str) {
        self.send(ServerFrame::Gone(Gone { delivery: delivery.to_owned() }));
    }

    fn rejected_seq(&mut self, seq: u64, refusal: Refusal) {
        self.send(ServerFrame::Rejected(Rejected { seq: Some(seq), ..rejected(refusal) }));
    }

    fn ticket(&mut self, purpose: Purpose) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.purposes.insert(ticket, purpose);
        ticket
    }
}

/// `rejected` with a refusal's code, reason and time.
fn rejected(refusal: Refusal) -> Rejected {
    let retry_after_ms = refusal.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    Rejected { code: Some(refusal.code), reason: refusal.reason, retry_after_ms, ..Rejected::default() }
}

/// A frame that is well formed and can't be taken all the same.
fn fault(op: &str, reason: impl Into<String>) -> FrameError {
    FrameError { reason: reason.into(), op: Some(op.into()), ..FrameError::default() }
}
