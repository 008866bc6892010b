//! Why a command ended early, in words for the person who typed it.

use std::fmt;
use std::process::ExitCode;

/// What went wrong and, where it is known, how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A step failed.
    Failed { what: String, mend: Option<String> },
    /// The command line can't be understood.
    Usage(String),
    /// The person, or CI, asked to stop.
    Interrupted,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), mend: None }
    }

    /// Adds how to mend it.
    pub(crate) fn mend(self, how: impl Into<String>) -> Self {
        match self {
            Self::Failed { what, .. } => Self::Failed { what, mend: Some(how.into()) },
            other => other,
        }
    }

    /// The binary's own exit codes: 1 failed, 2 wrong usage, 130 interrupted.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed { .. } => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { what, mend: None } => write!(f, "{what}"),
            Self::Failed { what, mend: Some(mend) } => write!(f, "{what}\n       {mend}"),
            Self::Usage(what) => write!(f, "{what}\n\n{}", crate::cli::usage()),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}
