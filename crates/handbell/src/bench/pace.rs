//! Open loop: when each event is due is laid down before anything is sent, and
//! every time counts from there. So nothing that is slow can hide what it
//! holds up (coordinated omission).

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// The times at which events are due, each given out when it has come.
pub(super) struct Stamps(mpsc::Receiver<Instant>);

/// How far the events may fall behind before the pace waits: ten seconds' worth
/// at the highest rate. The times that are laid down don't move.
const BEHIND: usize = 100_000;

impl Stamps {
    /// `count` events at `rate` a second, the first one a little from now.
    ///
    /// A thread of its own keeps the time: the runtime's timers go by the
    /// millisecond.
    pub(super) fn at(rate: u32, count: u64) -> Self {
        let (sender, receiver) = mpsc::channel(BEHIND);
        let begin = Instant::now() + Duration::from_millis(20);
        let due = move |n: u64| begin + Duration::from_secs_f64(n as f64 / f64::from(rate));
        std::thread::spawn(move || {
            for at in (0..count).map(due) {
                wait_until(at);
                if sender.blocking_send(at).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// Those that are due now, at least one; `None` after the last.
    pub(super) async fn next(&mut self, most: usize) -> Option<Vec<Instant>> {
        let mut due = Vec::new();
        let count = self.0.recv_many(&mut due, most).await;
        (count > 0).then_some(due)
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, whose only work is to wait")]
fn wait_until(at: Instant) {
    let wait = at.saturating_duration_since(Instant::now());
    if !wait.is_zero() {
        std::thread::sleep(wait);
    }
}
