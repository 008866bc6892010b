//! How a case fails: what was wrong, and where it was seen.

use std::{error::Error, fmt, panic::Location};

/// How a case ends.
pub type Outcome<T = ()> = Result<T, Failure>;

/// The longest description, in bytes: records with large payloads stand in some.
const LONGEST: usize = 2_000;

/// Why a case fails.
pub struct Failure {
    what: String,
    at: &'static Location<'static>,
}

impl Failure {
    /// A failure that was seen here.
    #[must_use]
    #[track_caller]
    pub fn new(what: impl Into<String>) -> Self {
        Self::seen_at(what, Location::caller())
    }

    /// A failure that was seen elsewhere.
    pub(crate) fn seen_at(what: impl Into<String>, at: &'static Location<'static>) -> Self {
        let mut what = what.into();
        if what.len() > LONGEST {
            what.truncate(what.floor_char_boundary(LONGEST));
            what.push('…');
        }
        Self { what, at }
    }
}

/// Every error ends a case, with the place of its `?`.
impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut what = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            what = format!("{what}: {error}");
            cause = error.source();
        }
        Self::new(what)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.what, self.at.file(), self.at.line())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ends the case unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::Failure::new(format!($($what)+)));
        }
    };
}

/// Ends the case unless both are equal: what there is, then what there should be.
macro_rules! ensure_eq {
    ($is:expr, $should:expr, $($what:tt)+) => {
        match (&$is, &$should) {
            (is, should) => ensure!(*is == *should, "{}: {is:?} instead of {should:?}", format_args!($($what)+)),
        }
    };
}
