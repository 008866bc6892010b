//! How long a delivery is a consumer's, pure.

use std::time::{Duration, Instant};

/// The lease of one delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    /// Where it ends while the consumer is connected.
    connected: Instant,
    /// Where the consumer has put its end; counts before all else.
    extended: Option<Instant>,
}

impl Lease {
    /// Handed out at `now`.
    pub(crate) fn new(now: Instant, max_processing: Duration) -> Self {
        Self { connected: now + max_processing, extended: None }
    }

    /// Ends `lease` from now.
    pub(crate) fn extend(&mut self, now: Instant, lease: Duration) {
        self.extended = Some(now + lease);
    }

    /// When it ends; `lost` is when the consumer's connection was lost.
    pub(crate) fn end(&self, lost: Option<Instant>, ack_wait: Duration) -> Instant {
        let unextended = lost.map_or(self.connected, |lost| self.connected.min(lost + ack_wait));
        self.extended.unwrap_or(unextended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_lost_connection_ends_it_ack_wait_later_but_never_later_than_before() {
        let start = Instant::now();
        let lease = Lease::new(start, S(100));
        assert_eq!(lease.end(None, S(30)), start + S(100));
        assert_eq!(lease.end(Some(start + S(10)), S(30)), start + S(40));
        assert_eq!(lease.end(Some(start + S(90)), S(30)), start + S(100));
    }

    #[test]
    fn extend_sets_the_end_beyond_either() {
        let start = Instant::now();
        let mut lease = Lease::new(start, S(100));
        lease.extend(start + S(50), S(3_600));
        assert_eq!(lease.end(None, S(30)), start + S(3_650));
        assert_eq!(lease.end(Some(start + S(51)), S(30)), start + S(3_650));
        lease.extend(start + S(60), S(1));
        assert_eq!(lease.end(None, S(30)), start + S(61));
    }
}
