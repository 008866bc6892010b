//! Whether the other end is still there and still reads.

use std::time::Duration;

/// What is to be done about a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Ask whether it is there.
    Ping,
    /// It didn't answer two pings: close with 1011.
    Unanswered,
    /// It doesn't read: stop delivering and queue 1013.
    Slow,
    /// It still doesn't read: cut TCP.
    Cut,
}

/// The times that matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) heartbeat: Duration,
    pub(super) slow: Duration,
    pub(super) cut: Duration,
}

/// One socket's signs of life, by monotonic time.
#[derive(Debug)]
pub(super) struct Liveness {
    patience: Patience,
    next_ping: Duration,
    unanswered: u32,
    /// Since when something waits to be written without progress.
    stuck_since: Option<Duration>,
    slow: bool,
}

impl Liveness {
    pub(super) fn new(patience: Patience, now: Duration) -> Self {
        Self { patience, next_ping: now + patience.heartbeat, unanswered: 0, stuck_since: None, slow: false }
    }

    /// Anything came in.
    pub(super) fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// Something was written, or nothing waits.
    pub(super) fn progressed(&mut self, waiting: bool, now: Duration) {
        self.stuck_since = waiting.then_some(now);
    }

    /// The agent said something of a delivery: so it reads, however slowly,
    /// and much may lie between its reading and what is written here.
    pub(super) fn acted(&mut self, now: Duration) {
        if !self.slow && self.stuck_since.is_some() {
            self.stuck_since = Some(now);
        }
    }

    /// It is taken for a slow reader from now on.
    pub(super) fn give_up(&mut self) {
        self.slow = true;
    }

    /// Something waits to be written.
    pub(super) fn waits(&mut self, now: Duration) {
        self.stuck_since.get_or_insert(now);
    }

    pub(super) fn next_deadline(&self) -> Duration {
        let patience = if self.slow { self.patience.slow + self.patience.cut } else { self.patience.slow };
        self.stuck_since.map_or(self.next_ping, |since| self.next_ping.min(since + patience))
    }

    /// What is due now.
    pub(super) fn due(&mut self, now: Duration) -> Option<Remedy> {
        if let Some(since) = self.stuck_since {
            if self.slow && now >= since + self.patience.slow + self.patience.cut {
                return Some(Remedy::Cut);
            }
            if !self.slow && now >= since + self.patience.slow {
                return Some(Remedy::Slow);
            }
        }
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + self.patience.heartbeat;
        if self.unanswered >= 2 {
            return Some(Remedy::Unanswered);
        }
        self.unanswered += 1;
        Some(Remedy::Ping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn liveness() -> Liveness {
        Liveness::new(Patience { heartbeat: s(10), slow: s(10), cut: s(20) }, s(0))
    }

    #[test]
    fn two_unanswered_pings_are_the_end_and_any_frame_is_an_answer() {
        let mut l = liveness();
        assert_eq!(l.due(s(9)), None);
        assert_eq!(l.due(s(10)), Some(Remedy::Ping));
        assert_eq!(l.due(s(20)), Some(Remedy::Ping));
        l.heard();
        assert_eq!(l.due(s(30)), Some(Remedy::Ping));
        assert_eq!(l.due(s(40)), Some(Remedy::Ping));
        assert_eq!(l.due(s(50)), Some(Remedy::Unanswered));
    }

    #[test]
    fn a_reader_without_progress_is_told_and_then_cut() {
        let mut l = liveness();
        l.waits(s(1));
        assert_eq!(l.next_deadline(), s(10));
        assert_eq!(l.due(s(10)), Some(Remedy::Ping));
        assert_eq!(l.due(s(11)), Some(Remedy::Slow));
        l.give_up();
        l.acted(s(12));
        assert_eq!(l.due(s(30)), Some(Remedy::Ping));
        assert_eq!(l.due(s(31)), Some(Remedy::Cut));
    }

    #[test]
    fn a_verdict_shows_that_it_reads() {
        let mut l = liveness();
        l.acted(s(1));
        l.waits(s(2));
        assert_eq!(l.due(s(12)), Some(Remedy::Slow));
        l.acted(s(12));
        assert_eq!(l.due(s(21)), Some(Remedy::Ping));
        assert_eq!(l.due(s(22)), Some(Remedy::Slow));
    }

    #[test]
    fn progress_starts_the_patience_anew() {
        let mut l = liveness();
        l.waits(s(1));
        l.progressed(true, s(9));
        assert_eq!(l.due(s(12)), Some(Remedy::Ping));
        l.progressed(false, s(13));
        assert_eq!(l.next_deadline(), s(22));
    }
}
