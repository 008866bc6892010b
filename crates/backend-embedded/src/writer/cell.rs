//! Storing a cell.

use bytes::Bytes;
use handbell_backend::{BackendError, CellName, CellVersion, StoreOutcome};
use handbell_protocol::Namespace;
use rusqlite::OptionalExtension;
use tokio::sync::oneshot;

use super::{Answer, Context, Job, Landing};
use crate::error::WriteFailure;

/// A store on its way.
pub(crate) struct StoreCell {
    namespace: Namespace,
    name: CellName,
    value: Bytes,
    expected: Option<CellVersion>,
    outcome: StoreOutcome,
    answer: Answer<StoreOutcome>,
}

impl StoreCell {
    pub(crate) fn new(
        namespace: Namespace,
        name: CellName,
        value: Bytes,
        expected: Option<CellVersion>,
        to: oneshot::Sender<Result<StoreOutcome, BackendError>>,
    ) -> Self {
        let answer = Answer::new("store a cell", to);
        Self { namespace, name, value, expected, outcome: StoreOutcome::Fenced, answer }
    }
}

impl Job for StoreCell {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        let key = (self.namespace.as_str(), self.name.as_str());
        let stored: Option<i64> = context
            .conn
            .prepare_cached("SELECT version FROM cells WHERE namespace = ?1 AND name = ?2")?
            .query_row(key, |row| row.get(0))
            .optional()?;
        if stored.map(i64::cast_unsigned) != self.expected.map(|version| version.0) {
            self.outcome = StoreOutcome::Fenced;
            return Ok(());
        }
        let version = stored.unwrap_or(0) + 1;
        context
            .conn
            .prepare_cached(
                "INSERT INTO cells (namespace, name, version, value) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (namespace, name) DO UPDATE SET version = excluded.version, value = excluded.value",
            )?
            .execute((key.0, key.1, version, &self.value[..]))?;
        self.outcome = StoreOutcome::Stored(CellVersion(version.cast_unsigned()));
        Ok(())
    }

    fn land(&mut self, landing: &mut Landing<'_>) {
        landing.wrote(self.value.len());
    }

    fn answer(self: Box<Self>) {
        self.answer.ok(self.outcome);
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        self.answer.fail(failure);
    }
}
