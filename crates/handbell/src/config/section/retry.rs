//! `retry`: how failed deliveries come again.

use std::time::Duration;

use handbell_protocol::{
    frame::{Backoff, RetryPolicy},
    time::duration_text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How failed deliveries come again, where a subscription doesn't say.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retry {
    /// Deliveries after the first; 0 to 1000. After the last: dead letter queue.
    #[schemars(range(max = 1000))]
    pub(crate) max_retries: u32,
    /// How the waits grow: exponential, linear or fixed.
    pub(crate) backoff_type: Backoff,
    /// The first wait; 0s to 1d.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) initial_delay: Duration,
    /// No wait is longer; 0s to 1d.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) max_delay: Duration,
    /// Failure classes that are tried again; empty: all but `no_retry_on`.
    pub(crate) retry_on: Vec<String>,
    /// Failure classes that are dead letters at once.
    pub(crate) no_retry_on: Vec<String>,
    /// Up to this share of a wait is added at random; 0 (off) to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        RetryPolicy::default().into()
    }
}

impl From<RetryPolicy> for Retry {
    fn from(policy: RetryPolicy) -> Self {
        let RetryPolicy { max_retries, backoff_type, initial_delay, max_delay, retry_on, no_retry_on, jitter } = policy;
        Self { max_retries, backoff_type, initial_delay, max_delay, retry_on, no_retry_on, jitter }
    }
}

impl From<Retry> for RetryPolicy {
    fn from(retry: Retry) -> Self {
        let Retry { max_retries, backoff_type, initial_delay, max_delay, retry_on, no_retry_on, jitter } = retry;
        Self { max_retries, backoff_type, initial_delay, max_delay, retry_on, no_retry_on, jitter }
    }
}
