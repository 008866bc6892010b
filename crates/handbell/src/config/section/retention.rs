//! `retention`: how long what is stored is kept.

use std::time::Duration;

use handbell_protocol::time::duration_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Size;

/// How long what is stored is kept. Dead letters are kept until an operator acts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    /// Events on topics that don't declare their own: 30 days by default.
    pub(crate) events: Keep,
    /// Direct work that nobody has taken: 7 days by default.
    pub(crate) inbox: Keep,
}

/// What is kept; where a bound is absent there is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keep {
    /// Not longer than that: 1m and more.
    #[serde(with = "duration_text::option")]
    #[schemars(with = "Option<String>")]
    pub(crate) age: Option<Duration>,
    /// Not more bytes than that, the oldest go first: 1MiB and more.
    pub(crate) size: Option<Size>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events: Keep::days(30), inbox: Keep::days(7) }
    }
}

impl Keep {
    fn days(days: u64) -> Self {
        Self { age: Some(Duration::from_secs(days * 86_400)), size: None }
    }
}
