//! The time that machines are told: begun with the wall clock's, going on with
//! the monotonic one, so that it never goes back and never jumps.

use std::time::Duration;

use handbell_protocol::Timestamp;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Timestamp,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { wall: Timestamp::now(), start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.wall.after(self.start.elapsed())
    }

    /// When it will be that time; a millisecond later, because instants are
    /// finer than timestamps.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.start + at.since(self.wall) + Duration::from_millis(1)
    }
}
