//! What the writer runs.

use std::sync::Arc;

use handbell_backend::BackendError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Book, Landing};
use crate::{engine::Engine, error::WriteFailure};

/// What a job has while its transaction runs.
pub(crate) struct Context<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) book: &'a mut Book,
    pub(crate) engine: &'a Arc<Engine>,
}

/// A piece of work that shares a transaction with others. `apply` may run
/// again after `undo`; at the end comes either `land` and `answer`, or `fail`.
pub(crate) trait Job: Send {
    /// Does the work within the transaction.
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()>;

    /// Whether it has a transaction of its own.
    fn alone(&self) -> bool {
        false
    }

    /// Takes back what `apply` did outside the database.
    fn undo(&mut self) {}

    /// Shows what is committed now to those who read from memory.
    fn land(&mut self, _landing: &mut Landing<'_>) {}

    /// Tells the caller.
    fn answer(self: Box<Self>);

    /// Tells the caller that it failed.
    fn fail(self: Box<Self>, failure: &WriteFailure);
}

/// Where a job's answer goes. The caller may have gone: then nobody misses it.
pub(crate) struct Answer<T> {
    doing: &'static str,
    to: oneshot::Sender<Result<T, BackendError>>,
}

impl<T> Answer<T> {
    pub(crate) fn new(doing: &'static str, to: oneshot::Sender<Result<T, BackendError>>) -> Self {
        Self { doing, to }
    }

    /// Answers; what nobody waits for is dropped.
    pub(crate) fn ok(self, value: T) {
        drop(self.to.send(Ok(value)));
    }

    /// Answers with an error.
    pub(crate) fn fail(self, failure: &WriteFailure) {
        drop(self.to.send(Err(failure.verb(self.doing))));
    }
}
