//! The envelope: an event as every part of Handbell sees it, complete.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Lane, Priority, Target};
use crate::{
    json::Json,
    name::Topic,
    time::{BadTimestamp, Timestamp},
};

/// An event with its payload and its way. What the agent left out is filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// What happened, to whom it belongs, and what it follows from.
    pub event: Event,
    /// Any JSON, byte for byte as its producer wrote it.
    #[serde(default)]
    pub payload: Json,
    /// Where it goes and how.
    pub routing: Routing,
}

/// The event's own attributes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// `evt-…`, or as an agent gave it: 1–255 printable characters.
    pub id: String,
    /// What happened, such as `TaskCompletedEvent`. `X` and `XEvent` are one type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Who says so: the agent, stamped by its sidecar.
    pub source: String,
    /// When it happened: RFC 3339.
    pub timestamp: EventTime,
    /// The version of the type; `1.0` by default.
    pub version: String,
    /// What ties a chain of events together: the ID of the first one.
    pub correlation_id: String,
    /// The ID of the event that this one answers; absent at a chain's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// As the agent gave it; without it the type's suffix tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Further members: text, number or boolean under CloudEvents' names.
    #[serde(flatten)]
    pub extensions: BTreeMap<String, Scalar>,
}

impl Event {
    /// The kind, as given or by the type's suffix.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or_else(|| Kind::of_type(&self.event_type))
    }
}

/// Whether two type names are one type: `X` and `XEvent` are.
#[must_use]
pub fn same_type(a: &str, b: &str) -> bool {
    bare_type(a) == bare_type(b)
}

/// The type's name without the suffix `Event`.
#[must_use]
pub fn bare_type(name: &str) -> &str {
    match name.strip_suffix("Event") {
        Some("") | None => name,
        Some(bare) => bare,
    }
}

/// A further member of `event`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(#[schemars(with = "f64")] serde_json::Number),
    /// A text.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// The event's instant: read once, and kept as its writer wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTime {
    at: Timestamp,
    written: Option<Box<str>>,
}

impl EventTime {
    /// Reads RFC 3339 and keeps the text.
    ///
    /// # Errors
    /// [`BadTimestamp`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, BadTimestamp> {
        let at = Timestamp::parse(text)?;
        let written = (at.to_string() != text).then(|| text.into());
        Ok(Self { at, written })
    }

    /// The instant, cut to milliseconds.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl From<Timestamp> for EventTime {
    fn from(at: Timestamp) -> Self {
        Self { at, written: None }
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            Some(text) => f.write_str(text),
            None => self.at.fmt(f),
        }
    }
}

impl Serialize for EventTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Where an event goes and how: exactly one of `topic` and `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("oneOf" = [{"required": ["topic"]}, {"required": ["to"]}]))]
pub struct Routing {
    /// The topic that it is published on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// Whom it is for, when it is direct work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Target>,
    /// Events of one key keep their order; without a key there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<String>,
    /// A higher one overtakes waiting lower ones.
    #[serde(default)]
    pub priority: Priority,
    /// How many events led to this one; filled in by the sidecar.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if hands out a reference")]
fn is_zero(hops: &u32) -> bool {
    *hops == 0
}

impl Routing {
    /// The lane that its priority takes.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.priority.lane()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = r#"{"event":{"id":"evt-20251129-143000-abc123","type":"TaskCompletedEvent","source":"/backend-architect","timestamp":"2025-11-29T14:30:00Z","version":"1.0","correlation_id":"c-1","causation_id":"evt-0"},"payload":{ "task_id" : 1e400 },"routing":{"topic":"project.tasks","partition_key":"project-xyz","priority":"normal"}}"#;

    #[test]
    fn the_contract_reads_and_prints_byte_for_byte() {
        let envelope: Envelope = serde_json::from_str(CONTRACT).unwrap();
        assert_eq!(serde_json::to_string(&envelope).unwrap(), CONTRACT);
        assert_eq!(envelope.event.kind(), Kind::Event);
    }

    #[test]
    fn x_and_x_event_are_one_type() {
        assert!(same_type("TaskCompleted", "TaskCompletedEvent"));
        assert!(same_type("Event", "Event"));
        assert!(!same_type("Task", "TaskCompleted"));
        assert!(!same_type("", "Event"));
    }
}
