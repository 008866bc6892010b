//! The subscriber for the process's logs.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text where standard error is a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Format {
    fn is_json(self) -> bool {
        match self {
            Self::Auto => !io::stderr().is_terminal(),
            Self::Text => false,
            Self::Json => true,
        }
    }
}

/// Why logs can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directives can't be read.
    #[error("{directives:?} says not what to log: {source}; write a level like info, or info,handbell_sidecar=debug")]
    Directives {
        /// As given.
        directives: String,
        /// Why not.
        source: ParseError,
    },
    /// Somebody has set up logs before.
    #[error("logs are set up already")]
    Twice,
}

/// What a socket's library would log of every message, tokens included.
const WOULD_TELL_SECRETS: [&str; 2] = ["tungstenite=info", "tokio_tungstenite=info"];

/// Checks directives such as `info` or `info,handbell_sidecar=debug`.
///
/// # Errors
/// When they can't be read.
pub fn read_directives(directives: &str) -> Result<EnvFilter, InitError> {
    let bad = |source| InitError::Directives { directives: directives.into(), source };
    let filter = EnvFilter::try_new(directives).map_err(bad)?;
    let clamp = |filter: EnvFilter, directive: &&str| Ok(filter.add_directive(directive.parse().map_err(bad)?));
    WOULD_TELL_SECRETS.iter().try_fold(filter, clamp)
}

/// Sets up the process's logs, once. `colour` counts for text only.
///
/// # Errors
/// When the directives can't be read, or logs are set up already.
pub fn init(directives: &str, format: Format, colour: bool) -> Result<(), InitError> {
    let registry = tracing_subscriber::registry().with(read_directives(directives)?);
    let done = if format.is_json() {
        let layer = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(layer.with_writer(io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().with_target(false).with_ansi(colour).with_writer(io::stderr)).try_init()
    };
    done.map_err(|_| InitError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_tell_secrets_stays_silent_whatever_is_asked_for() {
        for directives in ["trace", "tungstenite=trace", "info,tokio_tungstenite=debug"] {
            let shown = read_directives(directives).unwrap().to_string();
            for clamped in WOULD_TELL_SECRETS {
                assert!(shown.split(',').any(|directive| directive == clamped), "{directives}: {shown}");
            }
            assert!(!shown.contains("tungstenite=trace") && !shown.contains("tungstenite=debug"), "{shown}");
        }
    }

    #[test]
    fn directives_are_a_level_or_a_list() {
        assert!(read_directives("info").is_ok());
        assert!(read_directives("info,handbell_sidecar=debug").is_ok());
        let error = read_directives("handbell=loud").unwrap_err().to_string();
        assert!(error.contains("handbell=loud"), "{error}");
    }
}
