//! What a member and its consumers are made with.

use std::time::Duration;

use handbell_protocol::{
    AgentName, Segment, TopicPattern,
    frame::{From, Order, RetryPolicy},
};

/// A member's bounds and times.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// How many events a group or a fan-out reads ahead of its consumers.
    pub read_ahead_events: usize,
    /// How many bytes of them.
    pub read_ahead_bytes: usize,
    /// How long a delivery may take while its consumer is connected.
    pub max_processing: Duration,
    /// How long after its last heartbeat a member counts as there.
    pub lease: Duration,
    /// How often a member says that it is there.
    pub heartbeat: Duration,
    /// How failures are tried again, where a new group doesn't say, and for
    /// direct work.
    pub retry: RetryPolicy,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self {
            read_ahead_events: 1_024,
            read_ahead_bytes: 4 << 20,
            max_processing: Duration::from_secs(15 * 60),
            lease: Duration::from_secs(3),
            heartbeat: Duration::from_secs(1),
            retry: RetryPolicy::default(),
        }
    }
}

/// A consumer of its own, without a group.
#[derive(Clone, Debug)]
pub struct FanoutSpec {
    /// Its topics.
    pub topics: Vec<TopicPattern>,
    /// Its filter's source; `None` or empty is no filter.
    pub filter: Option<String>,
    /// Whether a partition key has one unsettled delivery at a time.
    pub order: Order,
    /// How long a delivery is lent without a sign of life.
    pub ack_wait: Duration,
    /// How failures are tried again.
    pub retry: RetryPolicy,
    /// Where it begins.
    pub from: From,
    /// Whom its idempotency keys name.
    pub receiver: String,
    /// Whether it wants to be told once that it is level.
    pub level: bool,
}

/// Whose direct work a consumer takes.
#[derive(Clone, Debug)]
pub struct DirectSpec {
    /// The agent.
    pub agent: AgentName,
    /// The session's producer, `agent#nonce`: answers to its calls are preferred here.
    pub producer: String,
    /// Pools whose work it shares.
    pub pools: Vec<Segment>,
    /// What it can do.
    pub capabilities: Vec<Segment>,
}
