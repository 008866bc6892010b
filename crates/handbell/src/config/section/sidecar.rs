//! `sidecar`: what agents connect to.

use std::time::Duration;

use handbell_protocol::time::duration_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Listen, Size};

/// What agents connect to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sidecar {
    /// Where agents connect: `IP:PORT` (port 0: any free one) or `unix:/path`.
    /// Wider than loopback only with `agents.tokens_file`.
    pub(crate) listen: Listen,
    /// The sidecar's own probes and metrics; in `dev` they are on `admin.listen`.
    pub(crate) admin: SidecarAdmin,
    /// Origins of web pages that may connect, like `https://example.org`.
    /// None by default: a page in a browser can't connect.
    pub(crate) origins: Vec<String>,
    /// On SIGTERM or `/drain`: how long agents have to finish; 0s to 1h.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) drain: Duration,
    /// How long a lost session waits to be resumed before its work is given
    /// to others; 0s to 1h.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) resume_window: Duration,
    /// How long a connected agent may hold a delivery without `extend`; 1s to 1d.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) max_processing: Duration,
    /// How many events are read ahead per group; 1 to 65536.
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) read_ahead: usize,
    /// How many bytes are read ahead per group; 64KiB to 1GiB.
    pub(crate) read_ahead_bytes: Size,
    /// The largest frame; 128KiB to 64MiB. The largest event is 64KiB smaller.
    pub(crate) max_frame: Size,
    /// How many publishes of a session may be unanswered; 1 to 65536.
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) publish_window: usize,
    /// How many subscriptions a session may have; 1 to 4096.
    #[schemars(range(min = 1, max = 4096))]
    pub(crate) max_subscriptions: usize,
    /// How many requests of a session may be unanswered; 1 to 65536.
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) max_calls: usize,
    /// How many connections there may be; 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_connections: usize,
    /// How many connections may be on their way to their `hello`, beside
    /// those; when it is reached, the oldest is cut; 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_handshakes: usize,
    /// How many lost sessions may wait to be resumed; beyond, the one that
    /// has waited longest is given up; 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_waiting: usize,
    /// How many bytes may wait for an agent that doesn't read before it isn't
    /// read from any more; 64KiB to 1GiB.
    pub(crate) max_outbox: Size,
    /// How often agents are pinged; two unanswered close the connection; 100ms to 5m.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) heartbeat: Duration,
    /// How long a connection may take, from its beginning, to say `hello`; 100ms to 5m.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) hello_timeout: Duration,
    /// How long an agent may not read before its connection is closed with 1013; 100ms to 5m.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) stall: Duration,
    /// How much longer before TCP is cut; 100ms to 5m.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) stall_cut: Duration,
}

/// The sidecar's own probes and metrics.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SidecarAdmin {
    /// Where: `IP:PORT`. Not opened in `dev`.
    pub(crate) listen: Listen,
}

impl Default for Sidecar {
    fn default() -> Self {
        Self {
            listen: Listen::Tcp(([127, 0, 0, 1], 7710).into()),
            admin: SidecarAdmin::default(),
            origins: Vec::new(),
            drain: Duration::from_secs(20),
            resume_window: Duration::from_secs(30),
            max_processing: Duration::from_secs(15 * 60),
            read_ahead: 1_024,
            read_ahead_bytes: Size::mib(4),
            max_frame: Size::mib(1),
            publish_window: 1_024,
            max_subscriptions: 256,
            max_calls: 4_096,
            max_connections: 10_000,
            max_handshakes: 1_024,
            max_waiting: 10_000,
            max_outbox: Size::mib(4),
            heartbeat: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(5),
            stall: Duration::from_secs(10),
            stall_cut: Duration::from_secs(20),
        }
    }
}

impl Default for SidecarAdmin {
    fn default() -> Self {
        Self { listen: Listen::Tcp(([127, 0, 0, 1], 7712).into()) }
    }
}
