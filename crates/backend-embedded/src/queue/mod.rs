//! Queues: competing consumers over a class's records.
//!
//! `core` decides (pure), `feed` reads records ahead, `jobs` store what was
//! decided, `end` is the trait's consumer, `open` makes or finds a queue.
//!
//! What is stored: per lane the offset up to which records were ever lent, and
//! a row for each of those that isn't settled. A row that says "leased" after
//! the log was opened is of a process that crashed: a clean end shelves them.

mod core;
mod end;
mod feed;
mod jobs;
mod lent;
mod open;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use core::Core;
pub(crate) use end::QueueEnd;
use feed::Feed;
pub(crate) use jobs::Shelve;
pub(crate) use open::open;

/// One queue, shared by all its consumers in this process.
pub(crate) struct QueueShared {
    /// Its number in the database.
    id: i64,
    core: Mutex<Core>,
    /// Wakes one consumer that waits.
    notify: Arc<Notify>,
    feed: tokio::sync::Mutex<Feed>,
}

impl QueueShared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
