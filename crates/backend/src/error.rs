//! How the verbs fail: each error can say whether trying again can help and
//! whether the effect may have happened all the same.

use std::{error::Error, time::Duration};

/// Why one event was not (or may not have been) stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Too much at once, nothing was stored.
    #[error("the backend has too much to do; try again in {retry_after:?}")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The broker could not be reached or could not write; nothing was stored.
    #[error("the backend is not available: {0}")]
    Unavailable(String),
    /// It may or may not be stored; send the same with the same dedup key.
    #[error("it is in doubt whether the event is stored: {0}")]
    InDoubt(String),
    /// It is larger than the backend takes.
    #[error("the event has {size} bytes, the backend takes {max}")]
    TooLarge {
        /// The record's size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The dedup key is stored with another digest.
    #[error("the same number was published with other content")]
    Conflict,
    /// The broker refuses it for good.
    #[error("the backend refuses the event: {0}")]
    Refused(String),
}

impl PublishError {
    /// Whether sending the same again can succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unavailable(_) | Self::InDoubt(_))
    }

    /// Whether it may be stored all the same.
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        matches!(self, Self::InDoubt(_))
    }
}

/// What went wrong with a verb other than publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not reachable, or can't write (a full disk); nothing happened.
    Unavailable,
    /// The effect may have happened.
    InDoubt,
    /// Refused for good: a setting or a permission is wrong.
    Refused,
    /// What is stored can't be read.
    Corrupt,
    /// The backend is shutting down.
    Closed,
}

/// A failed verb, with what it was about to do.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing}: {why}")]
pub struct BackendError {
    /// What kind of failure.
    pub fault: Fault,
    /// What was being done, such as "store cell group/g/settings".
    pub doing: String,
    /// Why, for a person.
    pub why: String,
    /// The cause, where there is one.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl BackendError {
    /// An error without a source.
    pub fn new(fault: Fault, doing: impl Into<String>, why: impl Into<String>) -> Self {
        Self { fault, doing: doing.into(), why: why.into(), source: None }
    }

    /// Whether trying again can succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.fault, Fault::Unavailable | Fault::InDoubt)
    }
}
