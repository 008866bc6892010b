//! The one place where the sidecar reads clocks.

use std::time::{Duration, Instant};

use handbell_protocol::Timestamp;

use crate::session::Now;

/// Both clocks of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { started: Instant::now() }
    }

    pub(super) fn now(self) -> Now {
        Now { wall: Timestamp::now(), mono: self.started.elapsed() }
    }

    /// The runtime's instant of a monotonic time.
    pub(super) fn instant(self, mono: Duration) -> tokio::time::Instant {
        (self.started + mono).into()
    }
}
