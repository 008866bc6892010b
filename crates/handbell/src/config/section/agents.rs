//! `agents`: what agents may do. Beside its own keys the section has one for
//! each agent, under the agent's name.

use std::{borrow::Cow, collections::BTreeMap, fmt, path::PathBuf};

use handbell_protocol::{AgentName, Segment, TopicPattern, frame::Order};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeMap,
};

/// What agents may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agents {
    /// A file with one `AGENT TOKEN` a line; read again when it changes.
    pub(crate) tokens_file: Option<PathBuf>,
    /// Topics and addresses per agent; once one agent has a scope, every
    /// agent may do only what its scope says.
    pub(crate) scopes: BTreeMap<AgentName, Scope>,
    /// Whether publishing on a topic that isn't declared under `topics` is refused.
    pub(crate) declared_topics_only: bool,
    /// The agents that have a key of their own.
    pub(crate) each: BTreeMap<AgentName, Agent>,
}

/// What one agent may publish and receive.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Scope {
    /// Topic patterns (`project.*`, `>`) and addresses (`/agent`, `/*`,
    /// `pool:NAME`, `pool:*`, `capability:NAME`, `capability:*`, `all`) that it
    /// may publish to.
    pub(crate) publish: Vec<String>,
    /// Topic patterns that it may subscribe to.
    pub(crate) subscribe: Vec<String>,
}

/// One agent.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Agent {
    /// Subscriptions that are in force from `hello` on.
    pub(crate) subscriptions: Vec<Subscription>,
    /// The payload of the answer that stands in when a request to this agent
    /// isn't answered.
    pub(crate) default_reply: Option<serde_json::Value>,
}

/// A declared subscription.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscription {
    /// The topic or pattern.
    #[schemars(with = "String")]
    pub(crate) topic: TopicPattern,
    /// Which of its events: the short form or CEL.
    #[serde(default)]
    pub(crate) filter: Option<String>,
    /// The durable group; without it a fan-out.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(crate) group: Option<Segment>,
    /// Whether order per partition key is kept: `key` (default) or `none`.
    #[serde(default)]
    pub(crate) order: Option<Order>,
    /// What is to be done, told in `deliver` to a model.
    #[serde(default)]
    pub(crate) action: Option<String>,
}

const KEYS: &[&str] = &["tokens_file", "scopes", "declared_topics_only", "\"/agent\""];

impl Serialize for Agents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tokens_file", &self.tokens_file)?;
        map.serialize_entry("scopes", &self.scopes)?;
        map.serialize_entry("declared_topics_only", &self.declared_topics_only)?;
        for (name, agent) in &self.each {
            map.serialize_entry(name, agent)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Agents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Section)
    }
}

struct Section;

/// One key of the section; read in its own step, so that an error points at it.
enum Key {
    TokensFile,
    Scopes,
    DeclaredTopicsOnly,
    Agent(AgentName),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = Cow::<'de, str>::deserialize(deserializer)?;
        match key.as_ref() {
            "tokens_file" => Ok(Self::TokensFile),
            "scopes" => Ok(Self::Scopes),
            "declared_topics_only" => Ok(Self::DeclaredTopicsOnly),
            name if name.starts_with('/') => AgentName::parse(name).map(Self::Agent).map_err(D::Error::custom),
            other => Err(D::Error::unknown_field(other, KEYS)),
        }
    }
}

impl<'de> Visitor<'de> for Section {
    type Value = Agents;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Agents, A::Error> {
        let mut agents = Agents::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::TokensFile => agents.tokens_file = map.next_value()?,
                Key::Scopes => agents.scopes = map.next_value()?,
                Key::DeclaredTopicsOnly => agents.declared_topics_only = map.next_value()?,
                Key::Agent(name) => drop(agents.each.insert(name, map.next_value()?)),
            }
        }
        Ok(agents)
    }
}

impl JsonSchema for Agents {
    fn schema_name() -> Cow<'static, str> {
        "Agents".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let scope = generator.subschema_for::<Scope>();
        let agent = generator.subschema_for::<Agent>();
        let name = "^(/[A-Za-z0-9_-]{1,128})+$";
        json_schema!({
            "type": "object",
            "description": "What agents may do. Each agent may have a key of its own, under its name.",
            "properties": {
                "tokens_file": {
                    "type": ["string", "null"],
                    "default": null,
                    "description": "A file with one `AGENT TOKEN` a line; read again when it changes. \
                        Without it a local process is whatever agent it says."
                },
                "declared_topics_only": {
                    "type": "boolean",
                    "default": false,
                    "description": "Whether publishing on a topic that isn't declared under `topics` is refused."
                },
                "scopes": {
                    "type": "object",
                    "default": {},
                    "description": "What each agent may publish and subscribe to, by the agent's name; once one agent \
                        has a scope, every agent may do only what its scope says.",
                    "patternProperties": { name: scope },
                    "additionalProperties": false
                }
            },
            "patternProperties": { name: agent },
            "additionalProperties": false
        })
    }
}
