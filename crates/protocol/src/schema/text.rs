//! Schemas of the types that are text with a grammar.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    event::{EventTime, Target},
    json::Json,
    name::{AgentName, Namespace, Segment, Topic},
    pattern::TopicPattern,
    time::Timestamp,
};

/// Stands for a duration in a schema.
pub(crate) struct DurationText;

macro_rules! text {
    ($($type:ty, $name:literal, $about:literal, {$($rule:tt)*};)+) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "description": $about, $($rule)*})
            }
        })+
    };
}

text! {
    Segment, "Segment", "The name of a group, a pool or a capability.",
        {"pattern": "^[A-Za-z0-9_-]{1,128}$"};
    Namespace, "Namespace", "What keeps two installations on one broker apart.",
        {"pattern": "^[A-Za-z0-9_-]{1,32}$"};
    AgentName, "AgentName", "An agent's name and address, such as /backend-architect.",
        {"pattern": "^(/[A-Za-z0-9_-]{1,128})+$", "maxLength": 180};
    Topic, "Topic", "A topic, such as project.tasks.",
        {"pattern": "^[A-Za-z0-9_-]{1,128}([.][A-Za-z0-9_-]{1,128})*$", "maxLength": 180};
    TopicPattern, "TopicPattern", "A topic, or a pattern: * is one segment, > as the last is one or more.",
        {
            "pattern": "^(([A-Za-z0-9_-]{1,128}|[*])[.])*([A-Za-z0-9_-]{1,128}|[*]|>)$",
            "maxLength": 180
        };
    Target, "Target", "Whom direct work is for: /agent, pool:NAME, capability:NAME or all.",
        {"pattern": "^(all|(pool|capability):[A-Za-z0-9_-]{1,128}|(/[A-Za-z0-9_-]{1,128})+)$"};
    Timestamp, "Timestamp", "An instant: RFC 3339.", {"format": "date-time"};
    EventTime, "EventTime", "An instant: RFC 3339, as its writer wrote it.", {"format": "date-time"};
    DurationText, "Duration", "A number and ms, s, m, h or d, such as 30s.",
        {"pattern": "^[0-9]+([.][0-9]+)?(ms|s|m|h|d)$"};
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}
