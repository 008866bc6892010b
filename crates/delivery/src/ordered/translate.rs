//! Between positions and starts.

use handbell_backend::{Position, Start};

/// Behind the earliest of the positions; what comes again is recognised.
pub(super) fn after(positions: Vec<Position>) -> Option<Start> {
    positions.into_iter().min_by_key(|position| (position.time, position.offset)).map(Start::After)
}
