//! A group's settings: stored once, compared ever after.
//!
//! Owns the cell `group/NAME/settings`. The first to store it makes the
//! group; whoever comes later must ask for the same, field by field.
//! Deliberately knows nothing of how a group is worked off.

mod stored;

use handbell_backend::{Backend, BackendError, CellName, Fault, StoreOutcome};
use handbell_protocol::{Segment, frame::RetryPolicy};

pub(crate) use stored::Stored;

use crate::{GroupSettings, JoinError, sieve::Sieve, starts::Starts};

/// How often a join looks again while others store the same cell.
const ATTEMPTS: usize = 8;

/// The group's stored settings: made as asked for if it isn't there, compared if it is.
///
/// `retry` counts where a group is made that doesn't say how it tries again.
pub(crate) async fn join(
    asked: &GroupSettings,
    retry: &RetryPolicy,
    backend: &dyn Backend,
) -> Result<Stored, JoinError> {
    Sieve::compile(asked.filter.as_deref().unwrap_or_default())?;
    let name = cell(&asked.group);
    for _ in 0..ATTEMPTS {
        if let Some(stored) = load(&name, backend).await? {
            stored.compare(asked)?;
            return Ok(stored);
        }
        let made = Stored::make(asked, retry, Starts::resolve(&asked.from, backend).await?);
        match backend.cell_store(&name, made.to_bytes()?, None).await {
            Ok(StoreOutcome::Stored(_)) => return Ok(made),
            Ok(StoreOutcome::Fenced) => {}
            // It may be stored all the same: look.
            Err(error) if error.fault == Fault::InDoubt => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(BackendError::new(Fault::Unavailable, format!("store cell {name}"), "others store it again and again").into())
}

/// The groups that have settings, with them.
pub(crate) async fn all(backend: &dyn Backend) -> Result<Vec<(Segment, Stored)>, BackendError> {
    let mut groups = Vec::new();
    for name in backend.cells(&CellName::of(&["group"])).await? {
        if let Some(group) = group_of(&name)
            && let Some(stored) = load(&name, backend).await?
        {
            groups.push((group, stored));
        }
    }
    Ok(groups)
}

fn cell(group: &Segment) -> CellName {
    CellName::of(&["group", group.as_str(), "settings"])
}

fn group_of(name: &CellName) -> Option<Segment> {
    let group = name.as_str().strip_prefix("group/")?.strip_suffix("/settings")?;
    Segment::parse(group).ok()
}

async fn load(name: &CellName, backend: &dyn Backend) -> Result<Option<Stored>, BackendError> {
    let Some(cell) = backend.cell_load(name).await? else { return Ok(None) };
    Stored::from_bytes(&cell.value).map(Some)
}
