//! What left a topic without an ack, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many records a member has let go of, and why.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) expired: AtomicU64,
    pub(crate) notifications: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    pub(crate) filtered: AtomicU64,
    pub(crate) filter_failed: AtomicU64,
}

/// A reading of a member's counters since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands whose expiry had passed.
    pub expired: u64,
    /// Notifications that a consumer failed: they have no retry.
    pub notifications: u64,
    /// Events that a fan-out gave up: it has no dead letters.
    pub given_up: u64,
    /// Events that became dead letters.
    pub dead_letters: u64,
    /// Events that a filter refused.
    pub filtered: u64,
    /// Events on which a filter failed; they count as refused too.
    pub filter_failed: u64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Adds what a group has counted that has ended here.
    pub(crate) fn add_group(&self, group: &handbell_groups::Counters) {
        self.expired.fetch_add(group.expired, Ordering::Relaxed);
        self.notifications.fetch_add(group.notifications_dropped, Ordering::Relaxed);
        self.dead_letters.fetch_add(group.dead_lettered, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            expired: read(&self.expired),
            notifications: read(&self.notifications),
            given_up: read(&self.given_up),
            dead_letters: read(&self.dead_letters),
            filtered: read(&self.filtered),
            filter_failed: read(&self.filter_failed),
        }
    }
}

impl Counts {
    /// With what a group has counted so far; its filter counts here already.
    pub(crate) fn with_group(self, group: &handbell_groups::Counters) -> Self {
        Self {
            expired: self.expired + group.expired,
            notifications: self.notifications + group.notifications_dropped,
            dead_letters: self.dead_letters + group.dead_lettered,
            ..self
        }
    }
}
