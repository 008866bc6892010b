//! What follows a failure: pure arithmetic of the retry policy.

use std::time::Duration;

use handbell_protocol::{
    Kind,
    frame::{Backoff, RetryPolicy},
};

/// The class of a delivery whose consumer or holder was lost.
pub(crate) const LOST: &str = "lost";
/// The class of a delivery whose lease ended.
pub(crate) const TIMEOUT: &str = "timeout";
/// The class of a delivery that was rejected.
pub(crate) const REJECTED: &str = "rejected";

/// No wait is longer, so that the arithmetic can't overflow.
const LONGEST: Duration = Duration::from_secs(1 << 32);

/// What becomes of a record that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallout {
    /// It comes again so much later.
    Again(Duration),
    /// It is a dead letter.
    Dead,
    /// It is dropped and counted: a notification.
    Dropped,
}

/// What follows the `failures`th failure. `delay` is the consumer's own word
/// on when, not on how often; `random` lies in 0..1.
pub(crate) fn fallout(
    policy: &RetryPolicy,
    kind: Kind,
    failures: u32,
    class: &str,
    delay: Option<Duration>,
    random: f64,
) -> Fallout {
    if kind == Kind::Notification {
        Fallout::Dropped
    } else if failures > policy.max_retries || !is_tried_again(policy, class) {
        Fallout::Dead
    } else {
        Fallout::Again(delay.unwrap_or_else(|| wait(policy, failures, random)))
    }
}

fn is_tried_again(policy: &RetryPolicy, class: &str) -> bool {
    let listed = |list: &[String]| list.iter().any(|one| one == class);
    !listed(&policy.no_retry_on) && (policy.retry_on.is_empty() || listed(&policy.retry_on))
}

/// The policy's wait after the `failures`th failure.
pub(crate) fn wait(policy: &RetryPolicy, failures: u32, random: f64) -> Duration {
    let step = failures.saturating_sub(1);
    let wait = match policy.backoff_type {
        Backoff::Exponential => policy.initial_delay.saturating_mul(1 << step.min(30)),
        Backoff::Linear => policy.initial_delay.saturating_mul(step.saturating_add(1)),
        Backoff::Fixed => policy.initial_delay,
    };
    let wait = wait.min(policy.max_delay).min(LONGEST);
    let share = (policy.jitter * random).clamp(0.0, 1.0);
    wait.saturating_add(wait.mul_f64(if share.is_nan() { 0.0 } else { share }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(policy: &RetryPolicy) -> Vec<u64> {
        (1..=7).map(|failures| wait(policy, failures, 0.9).as_secs()).collect()
    }

    #[test]
    fn waits_grow_as_the_policy_says() {
        let mut policy = RetryPolicy::default();
        assert_eq!(seconds(&policy), [1, 2, 4, 8, 16, 30, 30]);
        policy.backoff_type = Backoff::Linear;
        assert_eq!(seconds(&policy), [1, 2, 3, 4, 5, 6, 7]);
        policy.backoff_type = Backoff::Fixed;
        assert_eq!(seconds(&policy), [1; 7]);
        policy.jitter = 1.0;
        assert_eq!(wait(&policy, 1, 0.5), Duration::from_millis(1_500));
    }

    #[test]
    fn four_deliveries_in_all_by_default() {
        let of = |failures| fallout(&RetryPolicy::default(), Kind::Event, failures, TIMEOUT, None, 0.0);
        assert_eq!(of(3), Fallout::Again(Duration::from_secs(4)));
        assert_eq!(of(4), Fallout::Dead);
    }

    #[test]
    fn delay_sets_when_and_the_policy_how_often() {
        let policy = RetryPolicy::default();
        let of = |failures| fallout(&policy, Kind::Command, failures, "x", Some(Duration::ZERO), 0.0);
        assert_eq!(of(3), Fallout::Again(Duration::ZERO));
        assert_eq!(of(4), Fallout::Dead);
    }

    #[test]
    fn some_classes_are_dead_at_once_and_notifications_are_dropped() {
        let mut policy = RetryPolicy::default();
        let of = |policy: &RetryPolicy, kind, class| fallout(policy, kind, 1, class, None, 0.0);
        assert_eq!(of(&policy, Kind::Event, "unauthorized"), Fallout::Dead);
        assert_eq!(of(&policy, Kind::Notification, "unauthorized"), Fallout::Dropped);
        policy.retry_on = vec!["timeout".into()];
        assert_eq!(of(&policy, Kind::Event, "other"), Fallout::Dead);
        assert_eq!(of(&policy, Kind::Event, TIMEOUT), Fallout::Again(Duration::from_secs(1)));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut policy = RetryPolicy { max_delay: Duration::MAX, jitter: 1.0, ..RetryPolicy::default() };
        policy.initial_delay = Duration::from_secs(86_400);
        assert!(wait(&policy, u32::MAX, 0.999) > Duration::from_secs(86_400));
    }
}
