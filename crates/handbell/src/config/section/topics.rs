//! `topics`: declared topics.

use std::path::PathBuf;

use handbell_protocol::AgentName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Keep;

/// A declared topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TopicDeclaration {
    /// What it is for.
    pub(crate) description: String,
    /// The agents that may publish on it; all while the list is empty.
    #[schemars(with = "Vec<String>")]
    pub(crate) publishers: Vec<AgentName>,
    /// The agents that may subscribe to it; all while the list is empty.
    #[schemars(with = "Vec<String>")]
    pub(crate) subscribers: Vec<AgentName>,
    /// A file with the JSON Schema that payloads must meet.
    #[schemars(with = "Option<String>")]
    pub(crate) schema: Option<PathBuf>,
    /// Whether it lies on the broker under its own name only, where programs
    /// that aren't agents read and write it too. To be declared for every
    /// process. The embedded log can't be reached from outside: there it is a
    /// topic like any other.
    pub(crate) shared: bool,
    /// How long its events are kept; `retention.events` where there is none.
    pub(crate) retention: Option<Keep>,
}
