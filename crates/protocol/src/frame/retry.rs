//! The retry policy: whether a failed delivery comes again, and when.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::{DAY, is_class, within};
use crate::{schema::DurationText, time::duration_text};

/// How often and when a failed delivery comes again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetryPolicy {
    /// Deliveries after the first; 3 by default, so four in all.
    #[schemars(range(max = 1000))]
    pub max_retries: u32,
    /// How the waits grow.
    pub backoff_type: Backoff,
    /// The first wait.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationText")]
    pub initial_delay: Duration,
    /// No wait is longer.
    #[serde(with = "duration_text")]
    #[schemars(with = "DurationText")]
    pub max_delay: Duration,
    /// Failure classes that are tried again; all but `no_retry_on` when empty.
    #[schemars(inner(regex(pattern = r"^[a-z_]{1,64}$")))]
    pub retry_on: Vec<String>,
    /// Failure classes that go to the dead letter queue at once.
    #[schemars(inner(regex(pattern = r"^[a-z_]{1,64}$")))]
    pub no_retry_on: Vec<String>,
    /// Up to this share of the wait is added at random; 0 (off) to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

/// How the waits between deliveries grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Each twice the one before.
    Exponential,
    /// Each longer by the first.
    Linear,
    /// All alike.
    Fixed,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 3,
            backoff_type: Backoff::Exponential,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            retry_on: vec![],
            no_retry_on: vec!["invalid_payload".into(), "unauthorized".into()],
            jitter: 0.0,
        }
    }
}

impl RetryPolicy {
    /// Checks what the types can't: bounds and class names.
    ///
    /// # Errors
    /// What is out of bounds, for a person.
    pub fn check(&self) -> Result<(), String> {
        if self.max_retries > 1_000 {
            return Err("retry.max_retries must be at most 1000".into());
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err("retry.jitter must lie between 0 and 1".into());
        }
        within("retry.initial_delay", self.initial_delay, Duration::ZERO, DAY)?;
        within("retry.max_delay", self.max_delay, Duration::ZERO, DAY)?;
        match self.retry_on.iter().chain(&self.no_retry_on).find(|class| !is_class(class)) {
            Some(class) => Err(format!("retry: class {class:?} must be 1 to 64 of a-z and _")),
            None => Ok(()),
        }
    }

    /// Whether a failure of `class` on delivery number `attempt` (from 1) is
    /// tried again.
    #[must_use]
    pub fn retries(&self, class: &str, attempt: u32) -> bool {
        let listed = |list: &[String]| list.iter().any(|have| have == class);
        attempt <= self.max_retries
            && !listed(&self.no_retry_on)
            && (self.retry_on.is_empty() || listed(&self.retry_on))
    }

    /// The wait after delivery number `attempt` (from 1). `random` in 0..1
    /// chooses the share of the jitter.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let step = attempt.saturating_sub(1);
        let base = match self.backoff_type {
            Backoff::Fixed => self.initial_delay,
            Backoff::Linear => self.initial_delay.saturating_mul(step.saturating_add(1)),
            Backoff::Exponential => self.initial_delay.saturating_mul(2_u32.saturating_pow(step)),
        };
        let base = base.min(self.max_delay);
        base + base.mul_f64(self.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_waits_1_2_4_seconds_then_gives_up() {
        let policy = RetryPolicy::default();
        let waits: Vec<_> =
            (1..9).take_while(|n| policy.retries("timeout", *n)).map(|n| policy.delay(n, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4]);
        assert!(!policy.retries("invalid_payload", 1));
    }
}
