//! What was found: one line a check, and whether anything has failed.

use serde::Serialize;
use serde_json::json;

use crate::{
    cli::Format,
    failure::{Done, Failure, Reason},
    output::{Screen, Tone},
};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warn,
    /// It doesn't work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    pub(super) check: &'static str,
    pub(super) state: State,
    pub(super) what: String,
    #[serde(rename = "where", skip_serializing_if = "String::is_empty")]
    pub(super) place: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) how: String,
}

impl Check {
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, state: State::Ok, what: what.into(), place: String::new(), how: String::new() }
    }

    pub(super) fn warn(check: &'static str, what: impl Into<String>, place: &str, how: impl Into<String>) -> Self {
        Self { check, state: State::Warn, what: what.into(), place: place.into(), how: how.into() }
    }

    pub(super) fn fail(check: &'static str, what: impl Into<String>, place: &str, how: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(check, what, place, how) }
    }

    /// A failure of something else, as a check that has failed.
    pub(super) fn of(check: &'static str, Reason { what, place, how }: Reason) -> Self {
        Self { check, state: State::Fail, what, place, how }
    }
}

/// Prints them; a failed one is exit code 1.
pub(super) fn tell(checks: &[Check], screen: Screen) -> Done {
    let failed = checks.iter().any(|check| check.state == State::Fail);
    match screen.format {
        Format::Json | Format::Yaml => screen.value(&json!({ "ok": !failed, "checks": checks }))?,
        Format::Name => checks.iter().try_for_each(|check| screen.line(check.check))?,
        Format::Table | Format::Wide => lines(checks, screen)?,
    }
    if failed { Err(Failure::told()) } else { Ok(()) }
}

fn lines(checks: &[Check], screen: Screen) -> Done {
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    for Check { check, state, what, place, how } in checks {
        if screen.quiet && *state == State::Ok {
            continue;
        }
        let (word, tone) = match state {
            State::Ok => ("ok  ", Tone::Good),
            State::Warn => ("warn", Tone::Warning),
            State::Fail => ("fail", Tone::Bad),
        };
        let place = if place.is_empty() { String::new() } else { format!("  [{place}]") };
        screen.line(&format!("{}  {check:<width$}  {what}{place}", screen.paint(word, tone)))?;
        if !how.is_empty() {
            let margin = " ".repeat(width + 8);
            screen.line(&format!("{margin}{}", how.replace('\n', &format!("\n{margin}"))))?;
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    screen.line(&format!("{} ok, {} to know, {} failed", count(State::Ok), count(State::Warn), count(State::Fail)))
}
