//! How far a shared topic is forwarded, in its cell: whoever stores it first
//! under a version forwards on, everybody else is fenced.

use bytes::Bytes;
use handbell_backend::{Backend, BackendError, CellName, CellVersion, Fault, Position, Start, StoreOutcome};
use handbell_protocol::Topic;
use serde::{Deserialize, Serialize};

use crate::MemberId;

/// What the cell holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    /// Who forwards.
    member: MemberId,
    /// The last that is forwarded for sure, as text.
    after: Option<String>,
}

/// The place, held by this member.
#[derive(Debug)]
pub(super) struct Place {
    cell: CellName,
    member: MemberId,
    version: CellVersion,
    pub(super) after: Option<Position>,
    /// Whether somebody may have forwarded more than `after` says.
    pub(super) taken_over: bool,
}

impl Place {
    /// Claims the place; `None`: another member was faster.
    pub(super) async fn claim(
        backend: &dyn Backend,
        topic: &Topic,
        member: MemberId,
    ) -> Result<Option<Self>, BackendError> {
        let cell = name(topic);
        let found = backend.cell_load(&cell).await?;
        let after = match &found {
            Some(found) => read(&found.value).map_err(|why| BackendError::new(Fault::Corrupt, "claim", why))?,
            None => None,
        };
        let (expected, taken_over) = (found.as_ref().map(|found| found.version), found.is_some());
        let mut place = Self { cell, member, version: CellVersion(0), after, taken_over };
        Ok(place.store(backend, expected).await?.then_some(place))
    }

    /// Stores the place; `false`: it is somebody else's now.
    pub(super) async fn keep(&mut self, backend: &dyn Backend) -> Result<bool, BackendError> {
        self.store(backend, Some(self.version)).await
    }

    async fn store(&mut self, backend: &dyn Backend, expected: Option<CellVersion>) -> Result<bool, BackendError> {
        let stored = Stored { member: self.member.clone(), after: self.after.as_ref().map(ToString::to_string) };
        let text = serde_json::to_vec(&stored)
            .map_err(|why| BackendError::new(Fault::Refused, "write a place", why.to_string()))?;
        match backend.cell_store(&self.cell, Bytes::from(text), expected).await? {
            StoreOutcome::Stored(version) => {
                self.version = version;
                Ok(true)
            }
            StoreOutcome::Fenced => Ok(false),
        }
    }

    /// Where forwarding goes on: all that the topic has, at first.
    pub(super) fn start(&self) -> Start {
        self.after.clone().map_or(Start::Oldest, Start::After)
    }
}

fn name(topic: &Topic) -> CellName {
    let segments: Vec<&str> = std::iter::once("shared").chain(topic.as_str().split('.')).collect();
    CellName::of(&segments)
}

/// What is stored is never guessed at.
fn read(value: &[u8]) -> Result<Option<Position>, String> {
    let stored: Stored = serde_json::from_slice(value).map_err(|why| why.to_string())?;
    stored.after.map(|text| text.parse()).transpose().map_err(|why: handbell_backend::BadPosition| why.to_string())
}
