//! The codes with which a request of an agent is refused.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something was refused, for a program. `reason` beside it is for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The envelope's members are missing, of the wrong form, or contradict one another.
    InvalidEnvelope,
    /// The payload does not meet the schema of its type.
    InvalidPayload,
    /// The token, or the resume token, is wrong.
    Unauthorized,
    /// `event.source` names somebody else.
    ForbiddenSource,
    /// The topic is reserved, or outside the agent's scopes.
    ForbiddenTopic,
    /// Topics must be declared here, and this one is not.
    UnknownTopic,
    /// The event is larger than `max_event`.
    TooLarge,
    /// Too much at once; `retry_after_ms` says when to try again.
    Busy,
    /// The broker did not answer, and nothing was stored; try again.
    BackendUnavailable,
    /// The broker may or may not have stored it; send the same again.
    InDoubt,
    /// A `seq` was left out; nothing was stored, the missing one is due.
    SeqGap,
    /// A `seq` was used again with other content.
    DuplicateSeq,
    /// The group exists with another setting, which the reason names.
    GroupMismatch,
    /// The filter cannot be read; the reason has the column.
    BadFilter,
    /// The correlation's budget is used up.
    OverBudget,
    /// The frame breaks the protocol; the session goes on.
    Protocol,
}

impl Code {
    /// The code as it stands in frames.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidEnvelope => "invalid_envelope",
            Self::InvalidPayload => "invalid_payload",
            Self::Unauthorized => "unauthorized",
            Self::ForbiddenSource => "forbidden_source",
            Self::ForbiddenTopic => "forbidden_topic",
            Self::UnknownTopic => "unknown_topic",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::BackendUnavailable => "backend_unavailable",
            Self::InDoubt => "in_doubt",
            Self::SeqGap => "seq_gap",
            Self::DuplicateSeq => "duplicate_seq",
            Self::GroupMismatch => "group_mismatch",
            Self::BadFilter => "bad_filter",
            Self::OverBudget => "over_budget",
            Self::Protocol => "protocol",
        }
    }

    /// Whether the `seq` stays open: the same publish is still due, and every
    /// higher one not yet handed to the broker waits for it (go-back-N).
    #[must_use]
    pub const fn leaves_seq_open(self) -> bool {
        matches!(self, Self::Busy | Self::BackendUnavailable | Self::InDoubt | Self::SeqGap)
    }
}

/// A refusal: the code, what is wrong and how to mend it, and when to come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", code.as_str())]
pub struct Refusal {
    /// For a program.
    pub code: Code,
    /// For a person: what, where, and how to mend it.
    pub reason: String,
    /// How long to wait before the same is sent again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without a time to come again.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), retry_after: None }
    }

    /// Shorthand for the commonest code.
    pub fn envelope(reason: impl Into<String>) -> Self {
        Self::new(Code::InvalidEnvelope, reason)
    }

    /// The same, to be tried again after `wait`.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}
