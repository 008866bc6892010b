//! What a group is made with.

use std::{fmt, sync::Arc, time::Duration};

use handbell_backend::Record;
use handbell_protocol::{
    Segment,
    frame::{Order, RetryPolicy},
};
use serde::{Deserialize, Serialize};

/// The most records of a partition that may be unsettled at or below the
/// cursor: then its topics aren't read on until something settles. So a
/// cursor stays far below the largest cell.
pub const UNSETTLED_MAX: usize = 1_024;

/// A failed record that comes again within that time waits in the window;
/// for longer it goes to the retry channel.
pub const SHORT_DELAY: Duration = Duration::from_secs(2);

/// The name of a process's part in the namespace, another one at each start.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for MemberId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The group's filter: `false` passes the record over for good. Called once
/// per record read; counts its own errors.
pub type Filter = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// What a member's part in a group is made with; the same on all members but
/// for `member`, `first_token` and `seed`.
#[derive(Clone)]
pub struct Config {
    /// The group: the retry channel's topic, and named in dead letters.
    pub group: Segment,
    /// This member.
    pub member: MemberId,
    /// Whether a partition key has one unsettled delivery at a time.
    pub order: Order,
    /// How long a delivery is lent after its consumer's socket is lost.
    pub ack_wait: Duration,
    /// How long a delivery may take while its consumer is connected.
    pub max_processing: Duration,
    /// How failures are tried again.
    pub retry: RetryPolicy,
    /// Which records the group is for; `None`: all.
    pub filter: Option<Filter>,
    /// How long after its last sign of life a member counts as there. A
    /// member that finds itself silent for that long hands out nothing before
    /// a store has proved that it still holds a partition.
    pub lease: Duration,
    /// How many records are read ahead of what is handed out.
    pub read_ahead_events: usize,
    /// How many bytes of them.
    pub read_ahead_bytes: usize,
    /// Tokens count up from here: give each group of a process a range of its
    /// own, such as its number × 2⁴⁰.
    pub first_token: u64,
    /// For jitter only.
    pub seed: u64,
    /// A planted bug.
    #[cfg(feature = "sabotage")]
    pub sabotage: Option<crate::Sabotage>,
}

impl Config {
    /// A configuration with everything at its default.
    #[must_use]
    pub fn new(group: Segment, member: MemberId) -> Self {
        Self {
            group,
            member,
            order: Order::Key,
            ack_wait: Duration::from_secs(30),
            max_processing: Duration::from_secs(15 * 60),
            retry: RetryPolicy::default(),
            filter: None,
            lease: Duration::from_secs(3),
            read_ahead_events: 1_024,
            read_ahead_bytes: 4 << 20,
            first_token: 1,
            seed: 0,
            #[cfg(feature = "sabotage")]
            sabotage: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("group", &self.group)
            .field("member", &self.member)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

/// A planted bug: what the simulation must catch.
#[cfg(feature = "sabotage")]
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Records are handed out before the cursor says that they may be.
    CursorAfterHandingOut,
    /// A key may have several deliveries at a time.
    KeyHoldIgnored,
    /// A failed record comes again at once.
    DelayIgnored,
    /// A repeat is handed out before its attempt is stored.
    AttemptNotStored,
    /// The original is settled before its retry is written.
    RetryAfterSettle,
    /// A fenced holder goes on.
    FenceIgnored,
    /// All suspects are handed out at once.
    SuspectsAtOnce,
    /// `Settled` is told before it is stored.
    SettledEarly,
}
