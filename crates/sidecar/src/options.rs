//! What a sidecar is started with.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use handbell_protocol::trace::TraceIds;

use crate::{auth::Tokens, policy::Policy};

/// Where agents connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 picks one.
    Tcp(SocketAddr),
    /// A Unix socket, made with mode 0600.
    Unix(PathBuf),
}

/// A sidecar's settings.
#[derive(Clone, Debug)]
pub struct SidecarOptions {
    /// Where agents connect.
    pub listen: Listen,
    /// Bounds and times.
    pub limits: Limits,
    /// The agents' tokens; `None`: a local process is whatever it says.
    pub tokens: Option<Tokens>,
    /// `Origin`s that browsers may come from; loopback names need no entry.
    pub origins: Vec<String>,
    /// Scopes, declared topics and subscriptions.
    pub policy: Policy,
    /// Derives trace context.
    pub trace: TraceIds,
}

/// Bounds and times of a sidecar; each is a key under `sidecar`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame in bytes; a larger one closes with 1009.
    pub max_frame: usize,
    /// The largest event in bytes; never above what the backend takes.
    pub max_event: usize,
    /// How many publishes of a session may be unanswered.
    pub publish_window: usize,
    /// How many subscriptions a session may have.
    pub max_subscriptions: usize,
    /// How many requests of a session may be unanswered.
    pub max_calls: usize,
    /// How many connections there may be.
    pub max_connections: usize,
    /// How many connections may be on their way to a `hello`, beside those.
    pub max_handshakes: usize,
    /// How many sessions may wait to be resumed.
    pub max_waiting: usize,
    /// How often the sidecar pings; two unanswered close with 1011.
    pub heartbeat: Duration,
    /// How long a connection may take, from its beginning, to say `hello`.
    pub hello_timeout: Duration,
    /// How long a session outlives its socket.
    pub resume_window: Duration,
    /// After so long without progress nothing more is delivered, and 1013 is queued.
    pub slow_reader: Duration,
    /// So long after that TCP is cut.
    pub slow_reader_cut: Duration,
    /// So many bytes may wait for a socket before its agent isn't read any more.
    pub max_outbox: usize,
    /// How long a delivery may take while its agent is connected.
    pub max_processing: Duration,
    /// How long acks and publishes are still taken when the sidecar goes away.
    pub drain: Duration,
    /// How many events a subscription reads ahead.
    pub read_ahead_events: usize,
    /// How many bytes of them.
    pub read_ahead_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: 1 << 20,
            max_event: (1 << 20) - (64 << 10),
            publish_window: 1_024,
            max_subscriptions: 256,
            max_calls: 4_096,
            max_connections: 10_000,
            max_handshakes: 1_024,
            max_waiting: 10_000,
            heartbeat: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(5),
            resume_window: Duration::from_secs(30),
            slow_reader: Duration::from_secs(10),
            slow_reader_cut: Duration::from_secs(20),
            max_outbox: 4 << 20,
            max_processing: Duration::from_secs(15 * 60),
            drain: Duration::from_secs(20),
            read_ahead_events: 1_024,
            read_ahead_bytes: 4 << 20,
        }
    }
}
