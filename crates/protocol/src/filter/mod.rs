//! Filters: which events of its topics a subscription wants.
//!
//! A filter is written in the short form, `type=TaskCompleted,severity=high`,
//! or in CEL over `event`, `payload` and `routing`. It is compiled once, where
//! a subscription enters, and then asked about every event. It deliberately
//! knows neither topics nor groups, and it counts nothing: it says how an
//! event fared, the caller counts.
//!
//! A filter comes from an agent, so it is not trusted: the text, its nesting
//! and the work that it may cause on one event are bounded (see [`Filter`]).

mod cel;
mod fields;
mod payload;
mod short;

use std::{fmt, sync::Arc};

use self::{cel::Cel, short::Short};
use crate::{
    code::{Code, Refusal},
    event::Envelope,
};

/// The longest filter, in bytes.
pub const MAX_FILTER_BYTES: usize = 4 * 1024;

/// A compiled filter; cloning shares it.
///
/// **Short form.** All of the text is `key=value`, joined by `,` (and). A
/// dotted key is exact: `event.source`, `routing.topic`,
/// `payload.review.severity`. A bare key is looked for in `event`, then
/// `routing`, then the payload's top level. Values are compared as text:
/// strings without their quotes, numbers as they are written in JSON, booleans
/// as `true` and `false`; null, objects and arrays equal nothing. `type`
/// compares [types](crate::event::same_type), so that `X` is `XEvent` too.
/// Blanks around keys and values don't count; a value has no `,`, no quotes,
/// and none of `==`, `&&`, `||`.
///
/// **CEL** is everything else. `event.kind` and `routing.hops` are always
/// there; other members only where the event has them. Whole numbers of the
/// payload are `int` (`uint` above 2⁶³−1), all others `double`; instants are
/// text. `event.type == "X"` means exactly `X`.
///
/// **Bounds.** 4 KiB of text, 512 marks (operators, dots, brackets), 16 levels
/// of nesting (chains of `&&` and of `||` hardly nest), 8 patterns of `matches`,
/// each a literal. A loop runs over a field or a list, a loop inside it over a
/// part of its variable. Where an expression could cost more than about two
/// million steps on one event, the verdict is [`Verdict::Failed`] without a try.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    form: Form,
}

enum Form {
    Short(Short),
    Cel(Box<Cel>),
}

/// How an event fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The event is wanted.
    Match,
    /// It is not.
    NoMatch,
    /// It could not be told: a field is missing, or the evaluation failed.
    /// Counts as no match, and is counted on its own.
    Failed,
}

impl Verdict {
    /// Whether the event is wanted.
    #[must_use]
    pub const fn is_match(self) -> bool {
        matches!(self, Self::Match)
    }
}

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct BadFilter {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong there and how to mend it.
    pub reason: String,
}

impl BadFilter {
    fn new(column: usize, reason: impl Into<String>) -> Self {
        Self { column, reason: reason.into() }
    }
}

impl From<BadFilter> for Refusal {
    fn from(bad: BadFilter) -> Self {
        Self::new(Code::BadFilter, format!("filter, {bad}"))
    }
}

impl Filter {
    /// Reads a filter, in either form. Takes up to some milliseconds for CEL,
    /// on a thread of its own that it waits for.
    ///
    /// # Errors
    /// [`BadFilter`] when the text is neither, mentions what no event has, or
    /// is beyond a bound.
    pub fn compile(text: &str) -> Result<Self, BadFilter> {
        if text.trim().is_empty() {
            return Err(BadFilter::new(1, "the filter is empty; leave it out to get every event"));
        }
        if text.len() > MAX_FILTER_BYTES {
            return Err(BadFilter::new(1, format!("the filter is longer than {MAX_FILTER_BYTES} bytes")));
        }
        let form = match Short::parse(text)? {
            Some(short) => Form::Short(short),
            None => Form::Cel(Box::new(Cel::compile(text)?)),
        };
        Ok(Self(Arc::new(Compiled { text: text.into(), form })))
    }

    /// Asks about one event. Never panics; the payload is read only where the
    /// filter needs it.
    #[must_use]
    pub fn matches(&self, envelope: &Envelope) -> Verdict {
        match &self.0.form {
            Form::Short(short) => short.matches(envelope),
            Form::Cel(cel) => cel.matches(envelope),
        }
    }

    /// The text that it was compiled from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?})", self.as_str())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Filter {
    type Err = BadFilter;
    fn from_str(text: &str) -> Result<Self, BadFilter> {
        Self::compile(text)
    }
}

#[cfg(test)]
mod tests;
