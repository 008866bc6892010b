//! The keys: one file per section, each with its unit and its default.

mod admin;
mod agents;
mod backend;
mod listen;
mod nats;
mod retention;
mod retry;
mod sidecar;
mod size;
mod telemetry;
mod topics;

use std::collections::BTreeMap;

use handbell_protocol::{Namespace, Topic};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use admin::Admin;
pub(crate) use agents::{Agents, Scope, Subscription};
pub(crate) use backend::{Backend, BackendKind};
pub(crate) use listen::Listen;
pub(crate) use nats::Nats;
pub(crate) use retention::{Keep, Retention};
pub(crate) use retry::Retry;
pub(crate) use sidecar::Sidecar;
pub(crate) use size::Size;
pub(crate) use telemetry::{LogFormat, Telemetry};
pub(crate) use topics::TopicDeclaration;

/// Handbell's configuration. Durations are text like `250ms`, `30s`, `2h`;
/// sizes are text like `1MiB`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The version of this file's form: 1. Required in a file.
    #[schemars(range(min = 1, max = 1))]
    pub(crate) version: u32,
    /// Prefixes everything that is stored, so that two installations on one
    /// broker never meet: 1 to 32 of A-Z a-z 0-9 _ -.
    #[schemars(with = "String", regex(pattern = "^[A-Za-z0-9_-]{1,32}$"))]
    pub(crate) namespace: Namespace,
    /// Where events are stored.
    pub(crate) backend: Backend,
    /// What agents connect to.
    pub(crate) sidecar: Sidecar,
    /// Where operators look: page, API, probes, metrics.
    pub(crate) admin: Admin,
    /// Declared topics by name. Others may be used too, except where
    /// `agents.declared_topics_only` is true.
    #[schemars(with = "BTreeMap<String, TopicDeclaration>")]
    pub(crate) topics: BTreeMap<Topic, TopicDeclaration>,
    /// What agents may do.
    pub(crate) agents: Agents,
    /// How failed deliveries come again, where a subscription doesn't say.
    pub(crate) retry: Retry,
    /// How long what is stored is kept.
    pub(crate) retention: Retention,
    /// Logs and traces.
    pub(crate) telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: 1,
            namespace: Namespace::default(),
            backend: Backend::default(),
            sidecar: Sidecar::default(),
            admin: Admin::default(),
            topics: BTreeMap::new(),
            agents: Agents::default(),
            retry: Retry::default(),
            retention: Retention::default(),
            telemetry: Telemetry::default(),
        }
    }
}
