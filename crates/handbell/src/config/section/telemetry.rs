//! `telemetry`: logs and traces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs and traces.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`) or
    /// directives like `info,handbell_sidecar=debug`. `-v`, `-q` and
    /// `RUST_LOG` take its place.
    pub(crate) log: String,
    /// In which form: `text`, `json`, or `auto`, which is text on a terminal
    /// and JSON elsewhere.
    pub(crate) format: LogFormat,
    /// Makes trace IDs of this installation differ from those of others with
    /// the same correlation IDs; the same on every process of an installation.
    pub(crate) trace_key: String,
}

/// The form of logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: "info".into(), format: LogFormat::Auto, trace_key: String::new() }
    }
}
