//! Cells: small registers under compare-and-set.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// A cell's name: segments of `[A-Za-z0-9_-]` joined by `/`, at most 200 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellName(Arc<str>);

impl CellName {
    /// The cell named by these segments.
    ///
    /// # Panics
    /// When a segment is outside the grammar: names are made of checked parts.
    #[must_use]
    pub fn of(segments: &[&str]) -> Self {
        assert!(segments.iter().all(|s| handbell_protocol::is_segment(s)), "{segments:?} names no cell");
        Self(segments.join("/").into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Which store a value comes from: grows with every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellVersion(pub u64);

/// What a cell holds; at most 512 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellValue {
    /// The bytes as stored.
    pub value: Bytes,
    /// What the next store must name.
    pub version: CellVersion,
}

/// How a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// Durable, under this version.
    Stored(CellVersion),
    /// Somebody else stored since; nothing happened.
    Fenced,
}
