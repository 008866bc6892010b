//! Connections that are not yet a session: from `accept` to `hello`. They are
//! anybody's, so they are bounded in number and each in time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// A handshake gives way to a newer one only after so long: those that make
/// progress need much less.
const GIVES_WAY: Duration = Duration::from_secs(1);

/// All handshakes of a port.
#[derive(Debug)]
pub(crate) struct Handshakes {
    most: usize,
    time: Duration,
    open: Mutex<Open>,
    room: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// By number, so that the oldest stands first.
    handshakes: BTreeMap<u64, (Instant, CancellationToken)>,
    next: u64,
}

/// One handshake; it counts until the last of its clones is dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    all: Arc<Handshakes>,
    number: u64,
    until: Instant,
    cut: CancellationToken,
}

// === impl Handshakes ===

impl Handshakes {
    /// At most `most` at a time, and each at most `time` long.
    pub(crate) fn new(most: usize, time: Duration) -> Arc<Self> {
        Arc::new(Self { most, time, open: Mutex::default(), room: Notify::new() })
    }

    /// Counts a connection, as soon as there is room. Where there is none, the
    /// oldest is cut, so that sockets that say nothing can't keep out those
    /// that do.
    pub(crate) async fn begin(self: &Arc<Self>) -> Handshake {
        loop {
            let room = self.room.notified();
            match self.try_begin() {
                Ok(handshake) => return handshake,
                Err(until) => drop(tokio::time::timeout_at(until, room).await),
            }
        }
    }

    /// Counts a connection, or says when the oldest will have to give way.
    fn try_begin(self: &Arc<Self>) -> Result<Handshake, Instant> {
        let now = Instant::now();
        let mut open = self.locked();
        if open.handshakes.len() >= self.most
            && let Some(oldest) = open.handshakes.first_entry()
        {
            let gives_way = oldest.get().0 + GIVES_WAY;
            if gives_way > now {
                return Err(gives_way);
            }
            oldest.remove().1.cancel();
            tracing::debug!(most = self.most, "a handshake was cut to make room (sidecar.max_handshakes)");
        }
        let (number, cut) = (open.next, CancellationToken::new());
        open.next += 1;
        open.handshakes.insert(number, (now, cut.clone()));
        Ok(Handshake { all: self.clone(), number, until: now + self.time, cut })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Handshake ===

impl Handshake {
    /// Waits until another one needs its place.
    pub(crate) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Waits until its time is over, or another one needs its place; says why.
    pub(crate) async fn over(&self) -> &'static str {
        tokio::select! {
            () = self.cut.cancelled() => "too many connections wait for their hello (sidecar.max_handshakes)",
            () = tokio::time::sleep_until(self.until) => "no hello came in time (sidecar.hello_timeout)",
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.locked().handshakes.remove(&self.number);
        self.all.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_but_not_at_once() {
        let handshakes = Handshakes::new(2, TIME);
        let first = handshakes.begin().await;
        let second = handshakes.begin().await;
        let begun = Instant::now();
        let _third = handshakes.begin().await;
        assert_eq!(begun.elapsed().as_millis(), GIVES_WAY.as_millis());
        assert!(first.over().await.contains("too many"));
        drop(first);
        assert!(second.over().await.contains("in time"));
        assert_eq!(begun.elapsed().as_millis(), TIME.as_millis());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_done_makes_room_at_once() {
        let handshakes = Handshakes::new(1, TIME);
        let first = handshakes.begin().await;
        let (_second, ()) = tokio::join!(handshakes.begin(), async { drop(first) });
        assert_eq!(handshakes.locked().handshakes.len(), 1);
    }
}
