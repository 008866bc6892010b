//! The broker's clock, as far as it is known here.

use std::sync::atomic::{AtomicI64, Ordering};

use handbell_protocol::Timestamp;

/// What the broker's clock shows at least: a publish's answer doesn't say when
/// the record was stored, so that its receipt names an instant just before.
#[derive(Debug, Default)]
pub(crate) struct BrokerClock {
    /// What to add to our own clock, in milliseconds.
    ahead: AtomicI64,
    /// The last that was given; it never falls.
    last: AtomicI64,
}

impl BrokerClock {
    /// The broker's clock showed `then` just before now.
    pub(crate) fn showed(&self, then: Timestamp) {
        self.ahead.store(then.as_millis() - Timestamp::now().as_millis(), Ordering::Relaxed);
    }

    /// An instant that the broker's clock has reached, and never before one
    /// that was given already.
    pub(crate) fn at_least(&self) -> Timestamp {
        let now = Timestamp::now().as_millis() + self.ahead.load(Ordering::Relaxed);
        Timestamp::from_millis(self.last.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_brokers_clock_and_never_falls() {
        let clock = BrokerClock::default();
        clock.showed(Timestamp::from_millis(1_000));
        let first = clock.at_least();
        assert!(first >= Timestamp::from_millis(1_000), "{first}");
        clock.showed(Timestamp::from_millis(500));
        assert!(clock.at_least() >= first);
    }
}
