//! How a command fails: what, where, how to mend it, and the exit code.

use std::process::ExitCode;

use serde::Serialize;

use crate::{config::Problem, output::note};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done as far as anybody wanted to know: nobody reads any more.
    Done,
    /// It was tried and didn't work: also a taken port, a directory in use, `rejected`.
    Failed,
    /// Wrong usage or configuration; nothing was tried.
    Usage,
    /// Refused by policy: a token, a scope.
    Refused,
    /// Nobody answers there.
    Unreachable,
    /// A signal came.
    Interrupted,
}

impl Exit {
    const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unreachable => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// Why a command failed, for a person and for a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) reasons: Vec<Reason>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    pub(crate) what: String,
    #[serde(rename = "where")]
    pub(crate) place: String,
    pub(crate) how: String,
}

/// One object for all of them.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    first: &'a Reason,
    #[serde(skip_serializing_if = "<[Reason]>::is_empty")]
    also: &'a [Reason],
}

/// How to mend what two programs understand differently.
pub(crate) const COMPARE: &str = "compare the versions with handbell version";

pub(crate) type Done = Result<(), Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>, place: impl Into<String>, how: impl Into<String>) -> Self {
        let reason = Reason { what: what.into(), place: place.into(), how: how.into() };
        debug_assert!(!reason.place.is_empty() && !reason.how.is_empty(), "it says where and how: {reason:?}");
        Self { exit, reasons: vec![reason] }
    }

    pub(crate) fn usage(what: impl Into<String>, place: impl Into<String>, how: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, place, how)
    }

    pub(crate) fn failed(what: impl Into<String>, place: impl Into<String>, how: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what, place, how)
    }

    /// The reader of standard output has seen enough (`| head`).
    pub(crate) fn unread() -> Self {
        Self { exit: Exit::Done, reasons: Vec::new() }
    }

    /// It failed, and the answer has said so already.
    pub(crate) fn told() -> Self {
        Self { exit: Exit::Failed, reasons: Vec::new() }
    }

    /// The arguments were none, and help has been given.
    pub(crate) fn helped() -> Self {
        Self { exit: Exit::Usage, reasons: Vec::new() }
    }

    /// The end by a signal; there is nothing to tell.
    pub(crate) fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, reasons: Vec::new() }
    }

    /// Tells it on standard error, as text or as one JSON object.
    pub(crate) fn tell(&self, json: bool) {
        if json {
            return self.tell_json();
        }
        for Reason { what, place, how } in &self.reasons {
            note(&format!("error: {what}\n  at {place}\n  {}", how.replace('\n', "\n  ")));
        }
    }

    /// The first reason; further ones stand in `also`.
    fn tell_json(&self) {
        let Some((first, further)) = self.reasons.split_first() else { return };
        let told = Told { first, also: further };
        note(&serde_json::to_string(&told).expect("reasons are text"));
    }
}

impl From<Problem> for Reason {
    fn from(problem: Problem) -> Self {
        Self { what: problem.what, place: problem.place, how: problem.how }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        vec![problem].into()
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self { exit: Exit::Usage, reasons: problems.into_iter().map(Reason::from).collect() }
    }
}
