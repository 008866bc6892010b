//! What consumers say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A consumer of the group at this member; the runner chooses the number and
/// never uses it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// Names one handing out of one record to one consumer; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A consumer's word on a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Done.
    Ack,
    /// Failed; the retry policy says whether and, without `delay`, when it comes again.
    Nack {
        /// The failure's class.
        class: String,
        /// For a person.
        reason: String,
        /// Exactly then, if the policy tries again.
        delay: Option<Duration>,
    },
    /// Failed for good: a dead letter of class `rejected`.
    Reject {
        /// For a person.
        reason: String,
    },
    /// Not started: handed to somebody else, no attempt counted.
    Release,
}

/// How a consumer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// On purpose: what is unsettled is given back, no attempt counted.
    Clean,
    /// Lost: what is unsettled has failed with class `lost`: counted, with
    /// the policy's wait, and then handed out one at a time per consumer, so
    /// that a record that kills its consumer doesn't take its neighbours with it.
    Lost,
}
