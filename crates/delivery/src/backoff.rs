//! Waiting after failures: bounded, told once per change.

use std::time::Duration;

use handbell_backend::{BackendError, Fault};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// How one task gets on with its backend. Says so in the log when it begins
/// to fail and when it works again, not at each attempt.
#[derive(Debug)]
pub(crate) struct Backoff {
    doing: &'static str,
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new(doing: &'static str) -> Self {
        Self { doing, failures: 0 }
    }

    pub(crate) const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// It has worked.
    pub(crate) fn worked(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "{} works again", self.doing);
            self.failures = 0;
        }
    }

    /// It has failed: how long to wait before the next attempt.
    pub(crate) fn failed(&mut self, error: &(dyn std::error::Error + 'static)) -> Duration {
        if self.failures == 0 && !is_closed(error) {
            tracing::warn!(error, "failed to {}; trying again until it works", self.doing);
        }
        self.failures = self.failures.saturating_add(1);
        FIRST.saturating_mul(1 << (self.failures - 1).min(10)).min(LONGEST)
    }

    /// Notes the failure and waits.
    pub(crate) async fn wait(&mut self, error: &(dyn std::error::Error + Send + Sync + 'static)) {
        let pause = self.failed(error);
        tokio::time::sleep(pause).await;
    }
}

/// The backend is being shut down: nothing to be warned of.
fn is_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<BackendError>().is_some_and(|error| error.fault == Fault::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_success() {
        let error = std::io::Error::other("down");
        let mut backoff = Backoff::new("test");
        assert_eq!(backoff.failed(&error), FIRST);
        assert_eq!(backoff.failed(&error), FIRST * 2);
        (0..100).for_each(|_| assert!(backoff.failed(&error) <= LONGEST));
        backoff.worked();
        assert_eq!(backoff.failed(&error), FIRST);
    }
}
