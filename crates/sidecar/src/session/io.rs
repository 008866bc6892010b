//! What goes into a session and what comes out: everything that its shell does.

use std::time::Duration;

use handbell_backend::{Outgoing, PublishError, Stored};
use handbell_delivery::{ConsumerEvent, ConsumerKey, DirectSpec, FanoutSpec, GroupSettings, Leave, Token, Verdict};
use handbell_protocol::{
    AgentName, Refusal, Target, Timestamp,
    frame::{ClientFrame, FrameError, ServerFrame},
};

/// The time, handed in with each input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: stands in events, decides expiry.
    pub wall: Timestamp,
    /// Time since the process started: every timer runs by it, so that a jump
    /// of the wall clock harms none.
    pub mono: Duration,
}

/// Names one publish of a session until its receipt is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What happens to a session.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "inputs are handed over one at a time and never kept")]
pub enum Input {
    /// A text frame, read.
    Frame(Result<ClientFrame, Box<FrameError>>),
    /// The broker's answer to a publish.
    Receipt(Ticket, Result<Stored, PublishError>),
    /// A consumer has joined, or can't.
    Joined(ConsumerKey, Result<(), Refusal>),
    /// A consumer has something for the agent.
    Consumer(ConsumerKey, ConsumerEvent),
    /// Somebody cancelled the request that has this event ID.
    Cancelled(String),
    /// A socket is there: the first, or another one after a loss.
    Attached,
    /// The socket is lost.
    Detached,
    /// The sidecar goes away.
    Drain {
        /// How long acks and publishes are still taken.
        grace: Duration,
        /// For a person.
        reason: String,
    },
    /// The session ends, whatever the agent does.
    Finish {
        /// The code to close with.
        code: u16,
        /// For a person.
        reason: String,
    },
    /// The frame of this delivery was never written to a socket.
    Unsent(String),
    /// The time that [`super::Session::next_deadline`] named has come.
    Tick,
}

/// What a session wants done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Write a frame.
    Send(ServerFrame),
    /// Hand records to the broker; one receipt for all of them.
    Publish(Ticket, Vec<Outgoing>),
    /// Make a consumer.
    Join(ConsumerKey, Join),
    /// Set a consumer's ceiling.
    Credit(ConsumerKey, u32),
    /// Tell a consumer whether the agent can be reached.
    Reach(ConsumerKey, bool),
    /// Settle deliveries.
    Settle(ConsumerKey, Vec<(Token, Verdict)>),
    /// Move the end of a lease.
    Extend(ConsumerKey, Token, Duration),
    /// End a consumer.
    Leave(ConsumerKey, Leave),
    /// Tell all sidecars that the request with this event ID is cancelled.
    Cancel(String),
    /// Close the socket once what was sent before is written.
    Close(u16, String),
    /// The session is over: its consumers leave this way.
    End(Leave),
}

/// A consumer to be made.
#[derive(Debug)]
pub enum Join {
    /// Of direct work.
    Direct {
        /// Whose.
        spec: DirectSpec,
        /// The ceiling.
        credit: u32,
    },
    /// Of a durable group.
    Group {
        /// As the agent asks for it.
        settings: GroupSettings,
        /// The ceiling.
        credit: u32,
        /// Whether `level` is wanted.
        level: bool,
    },
    /// Of its own.
    Fanout {
        /// What it reads.
        spec: FanoutSpec,
        /// The ceiling.
        credit: u32,
    },
}

/// Who is there, as `members` knows it.
pub trait Directory {
    /// Whether somebody could answer work for `target`.
    fn is_present(&self, target: &Target) -> bool;
    /// Each agent name that is attached somewhere now.
    fn agents(&self) -> Vec<AgentName>;
}
