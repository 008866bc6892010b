//! One task for each session: everything that happens to it comes through
//! here, one thing after the other. It outlives its sockets.

use std::sync::Arc;

use handbell_delivery::{ConsumerEvent, ConsumerKey};
use handbell_protocol::frame::{ClientFrame, ServerFrame, Welcome};
use tokio::sync::mpsc;

use super::{
    clock::Clock,
    directory::ViewDirectory,
    effects::{Hands, Happened},
    liveness::{Liveness, Patience, Remedy},
    outbox::Outbox,
    server::Shared,
    wire::{BINARY, Incoming, Turn, Wire},
};
use crate::session::{Effect, Input, Session};

/// What the sidecar tells a session.
pub(super) enum Command {
    /// A socket has come back, with frames that were read behind its `hello`.
    Attach(Box<Wire>, Vec<Incoming>),
    /// The sidecar goes away.
    Drain(String),
    /// The session ends now, with this code.
    Finish(u16, String),
    /// Too many sessions wait to be resumed: this one ends, unless it is back.
    GiveUp,
    /// The agent's token is no longer good.
    Rotated,
    /// A request was cancelled by its caller.
    Cancelled(Arc<str>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Attach(..) => "Attach",
            Self::Drain(_) => "Drain",
            Self::Finish(..) => "Finish",
            Self::GiveUp => "GiveUp",
            Self::Rotated => "Rotated",
            Self::Cancelled(_) => "Cancelled",
        })
    }
}

/// A running session.
pub(super) struct Actor {
    shared: Arc<Shared>,
    clock: Clock,
    session: Session,
    welcome: Welcome,
    commands: mpsc::Receiver<Command>,
    hands: Hands,
    socket: Option<Attached>,
}

/// The socket of the moment.
struct Attached {
    wire: Box<Wire>,
    outbox: Outbox,
    liveness: Liveness,
}

/// What woke the actor.
enum Wake {
    Turn(Turn),
    Command(Option<Command>),
    Consumers(Vec<(ConsumerKey, ConsumerEvent)>),
    Happened(Happened),
    Time,
}

impl Actor {
    /// `welcome` is told on the first socket, and on each later one as resumed.
    pub(super) fn new(
        shared: Arc<Shared>,
        session: Session,
        welcome: Welcome,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let hands = Hands::new(shared.member.clone());
        let clock = shared.clock;
        Self { shared, clock, session, welcome, commands, hands, socket: None }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self, wire: Box<Wire>, frames: Vec<Incoming>) {
        self.take_socket(wire);
        self.welcome.resumed = true;
        self.frames(frames);
        while !self.session.is_over() {
            self.perform().await;
            if self.session.is_over() {
                break;
            }
            match self.wake().await {
                Wake::Turn(turn) => self.turned(turn),
                Wake::Command(command) => self.commanded(command),
                Wake::Consumers(events) => {
                    self.inputs(events.into_iter().map(|(key, event)| Input::Consumer(key, event)));
                }
                Wake::Happened(Happened::Receipts(receipts)) => {
                    self.inputs(receipts.into_iter().map(|(ticket, receipt)| Input::Receipt(ticket, receipt)));
                }
                Wake::Happened(Happened::Joined(input)) => self.inputs(input.map(|input| *input)),
                Wake::Time => self.time().await,
            }
        }
        self.perform().await;
        self.shared.forget(&self.welcome.session);
        self.farewell().await;
    }

    async fn wake(&mut self) -> Wake {
        let deadline = self.clock.instant(self.next_deadline());
        let mailbox = self.hands.mailbox();
        let max_outbox = self.shared.options.limits.max_outbox;
        tokio::select! {
            turn = turn(self.socket.as_mut(), max_outbox) => Wake::Turn(turn),
            command = self.commands.recv() => Wake::Command(command),
            events = mailbox.take() => Wake::Consumers(events),
            happened = self.hands.happened() => Wake::Happened(happened),
            () = tokio::time::sleep_until(deadline) => Wake::Time,
        }
    }

    fn next_deadline(&self) -> std::time::Duration {
        let socket = self.socket.as_ref().map(|socket| socket.liveness.next_deadline());
        let idle = self.clock.now().mono + std::time::Duration::from_secs(3_600);
        [socket, self.session.next_deadline()].into_iter().flatten().min().unwrap_or(idle)
    }

    fn input(&mut self, input: Input) {
        self.inputs([input]);
    }

    /// Inputs that came together, made as they are taken in: many are large.
    fn inputs(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let directory = ViewDirectory(self.shared.member.view());
        let now = self.clock.now();
        for input in inputs {
            self.session.handle(now, &directory, input);
        }
    }

    // === the socket ===

    fn take_socket(&mut self, wire: Box<Wire>) {
        let limits = &self.shared.options.limits;
        let patience = Patience { heartbeat: limits.heartbeat, slow: limits.slow_reader, cut: limits.slow_reader_cut };
        let mut outbox = Outbox::default();
        outbox.frame(&ServerFrame::Welcome(self.welcome.clone()));
        let liveness = Liveness::new(patience, self.clock.now().mono);
        self.socket = Some(Attached { wire, outbox, liveness });
    }

    fn turned(&mut self, turn: Turn) {
        let now = self.clock.now().mono;
        match turn {
            Turn::Moved { frames, wrote } => {
                if let Some(socket) = &mut self.socket {
                    if wrote {
                        socket.liveness.progressed(!socket.outbox.is_empty(), now);
                    }
                    if !frames.is_empty() {
                        socket.liveness.heard();
                    }
                }
                self.frames(frames);
            }
            Turn::Lost => self.lose_socket(),
        }
    }

    fn frames(&mut self, frames: Vec<Incoming>) {
        let directory = ViewDirectory(self.shared.member.view());
        let now = self.clock.now();
        for frame in frames {
            match frame {
                Incoming::Text(text) => {
                    let frame = ClientFrame::parse(&text).map_err(Box::new);
                    if let (Ok(frame), Some(socket)) = (&frame, &mut self.socket)
                        && frame.deliveries().iter().any(|delivery| self.session.holds(delivery))
                    {
                        socket.liveness.acted(now.mono);
                    }
                    self.session.handle(now, &directory, Input::Frame(frame));
                }
                Incoming::Pong => {}
                Incoming::Binary(_) => return self.cut_off(BINARY.0, BINARY.1),
                Incoming::Closed => return self.lose_socket(),
                Incoming::Foul(code, reason) => return self.cut_off(code, reason),
            }
        }
    }

    /// Closes the socket, not the session: the agent may resume.
    fn cut_off(&mut self, code: u16, reason: &str) {
        if let Some(mut socket) = self.socket.take() {
            socket.outbox.close(code, reason);
            self.shared.see_off(socket.wire, socket.outbox);
        }
        self.detached();
    }

    fn lose_socket(&mut self) {
        if self.socket.take().is_some() {
            self.detached();
        }
    }

    /// The agent can't be reached any more.
    fn detached(&mut self) {
        self.input(Input::Detached);
        self.shared.waits(&self.welcome.session);
    }

    async fn time(&mut self) {
        self.input(Input::Tick);
        let now = self.clock.now().mono;
        let Some(socket) = &mut self.socket else { return };
        match socket.liveness.due(now) {
            Some(Remedy::Ping) => socket.outbox.ping(),
            Some(Remedy::Unanswered) => self.cut_off(1011, "two pings were not answered"),
            Some(Remedy::Slow) => self.slow().await,
            Some(Remedy::Cut) => self.socket = None,
            None => {}
        }
    }

    /// Nothing could be written for long. Nothing was read either while much
    /// waits, so first that is looked at: a verdict on what it holds shows that
    /// the agent reads.
    async fn slow(&mut self) {
        if let Some(socket) = &mut self.socket {
            let frames = socket.wire.sip().await;
            self.frames(frames);
        }
        let now = self.clock.now().mono;
        let Some(socket) = &mut self.socket else { return };
        if socket.liveness.due(now) != Some(Remedy::Slow) {
            return;
        }
        // What waits is dropped and only the close is left: everything comes
        // again after the resume.
        let bytes = socket.outbox.bytes();
        tracing::debug!(session = self.welcome.session, bytes, "a reader makes no progress");
        socket.liveness.give_up();
        socket.outbox.clear();
        socket.outbox.close(1013, "the reader made no progress; read faster or ask for less credit");
        self.detached();
    }

    // === commands ===

    fn commanded(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Attach(wire, frames)) => {
                if self.socket.is_some() {
                    self.cut_off(1008, "taken over");
                }
                self.shared.registry.is_back(&self.welcome.session);
                self.take_socket(wire);
                self.input(Input::Attached);
                self.frames(frames);
            }
            Some(Command::GiveUp) if self.socket.is_some() => {}
            Some(Command::GiveUp) => {
                let reason = "too many sessions wait to be resumed (sidecar.max_waiting)";
                self.input(Input::Finish { code: 1013, reason: reason.into() });
            }
            Some(Command::Drain(reason)) => self.drain(reason),
            Some(Command::Finish(code, reason)) => self.input(Input::Finish { code, reason }),
            Some(Command::Rotated) => {
                self.drain("the agent's token was rotated; connect again with the new one".into());
                self.input(Input::Finish { code: 1008, reason: "token rotated".into() });
            }
            Some(Command::Cancelled(request)) => self.input(Input::Cancelled(request.to_string())),
            None => self.input(Input::Finish { code: 1001, reason: "the sidecar is gone".into() }),
        }
    }

    fn drain(&mut self, reason: String) {
        let unsent = self.socket.as_mut().map(|socket| socket.outbox.take_deliveries()).unwrap_or_default();
        for delivery in unsent {
            self.input(Input::Unsent(delivery.into()));
        }
        self.input(Input::Drain { grace: self.shared.options.limits.drain, reason });
    }

    // === effects ===

    async fn perform(&mut self) {
        let mut effects = self.session.effects();
        for effect in effects.drain(..) {
            self.effect(effect);
        }
        self.session.reuse(effects);
        self.hands.hand_over().await;
        let now = self.clock.now().mono;
        if let Some(socket) = &mut self.socket
            && !socket.outbox.is_empty()
        {
            socket.liveness.waits(now);
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(frame) => {
                if let Some(socket) = &mut self.socket {
                    socket.outbox.frame(&frame);
                }
            }
            Effect::Publish(ticket, records) => self.hands.publish(ticket, records),
            Effect::Join(key, join) => self.hands.join(key, join),
            Effect::Leave(key, how) => self.hands.leave(key, how),
            Effect::Cancel(request) => self.hands.cancel(request),
            Effect::Close(code, reason) => {
                if let Some(socket) = &mut self.socket {
                    socket.outbox.close(code, &reason);
                }
            }
            Effect::End(how) => self.hands.leave_all(how),
            Effect::Credit(key, ceiling) => self.with(key, |consumer| consumer.credit(ceiling)),
            Effect::Settle(key, verdicts) => self.with(key, |consumer| consumer.settle(verdicts)),
            Effect::Extend(key, token, lease) => self.with(key, |consumer| consumer.extend(token, lease)),
            Effect::Reach(key, true) => self.with(key, handbell_delivery::Consumer::connected),
            Effect::Reach(key, false) => self.with(key, handbell_delivery::Consumer::disconnected),
        }
    }

    fn with(&self, key: handbell_delivery::ConsumerKey, act: impl FnOnce(&handbell_delivery::Consumer)) {
        if let Some(consumer) = self.hands.consumer(key) {
            act(consumer);
        }
    }

    /// Waits for what was handed over, then sees the socket off.
    async fn farewell(mut self) {
        if let Some(mut socket) = self.socket.take() {
            socket.outbox.close(1001, "the session is over");
            self.shared.see_off(socket.wire, socket.outbox);
        }
    }
}

/// A turn of the socket, if there is one.
async fn turn(socket: Option<&mut Attached>, max_outbox: usize) -> Turn {
    let Some(socket) = socket else { return std::future::pending().await };
    let read = socket.outbox.bytes() < max_outbox;
    socket.wire.turn(&mut socket.outbox, read).await
}
