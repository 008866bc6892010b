//! A group's or a fan-out's filter, compiled once.

use handbell_protocol::{
    Envelope,
    filter::{Filter, Verdict},
};

use crate::{
    JoinError,
    counts::{Counters, count},
};

/// The filter, or none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sieve(Option<Filter>);

impl Sieve {
    /// Compiles a filter's source; the empty one lets everything pass.
    pub(crate) fn compile(source: &str) -> Result<Self, JoinError> {
        if source.is_empty() {
            return Ok(Self(None));
        }
        Filter::compile(source).map(|filter| Self(Some(filter))).map_err(|why| JoinError::BadFilter(why.to_string()))
    }

    /// Whether an event passes; what doesn't is counted.
    pub(crate) fn passes(&self, envelope: &Envelope, counters: &Counters) -> bool {
        let verdict = self.0.as_ref().map_or(Verdict::Match, |filter| filter.matches(envelope));
        match verdict {
            Verdict::Match => return true,
            Verdict::NoMatch => {}
            Verdict::Failed => count(&counters.filter_failed),
        }
        count(&counters.filtered);
        false
    }
}
