//! Changing the largest size of the database while it is open.

use handbell_backend::BackendError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Answer, Context, Job};
use crate::error::WriteFailure;

/// A new limit on its way.
pub(crate) struct Limit {
    bytes: Option<u64>,
    answer: Answer<()>,
}

impl Limit {
    pub(crate) fn new(bytes: Option<u64>, to: oneshot::Sender<Result<(), BackendError>>) -> Self {
        Self { bytes, answer: Answer::new("limit the log's size", to) }
    }
}

/// Sets the largest size of the database. A limit below what it has already
/// means that it grows no more.
pub(crate) fn set_limit(conn: &Connection, bytes: Option<u64>) -> rusqlite::Result<()> {
    let page: u64 = conn.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?.cast_unsigned();
    let pages = bytes.map_or(u64::from(u32::MAX) - 1, |bytes| (bytes / page).max(1));
    conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

impl Job for Limit {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        set_limit(context.conn, self.bytes)
    }

    fn answer(self: Box<Self>) {
        self.answer.ok(());
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        self.answer.fail(failure);
    }
}
