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

use handbell_protocol::TopicPattern;
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
    /// Wakes all consumers that wait: one of them may be asleep for good.
    notify: Arc<Notify>,
    /// `None` while a task reads ahead; it puts the feed back by itself.
    feed: Mutex<Option<Feed>>,
    /// Wakes those who wait for the feed.
    feed_back: Notify,
    /// What its consumers want read; the feed follows.
    topics: Mutex<Vec<TopicPattern>>,
}

impl QueueShared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self) -> MutexGuard<'_, Option<Feed>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics(&self) -> MutexGuard<'_, Vec<TopicPattern>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
