//! All frames as one JSON Schema document, and as a list of messages.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::agent::AgentFrame;
use crate::frame::{SUBPROTOCOL, ServerFrame};

/// The frames of one direction.
pub(super) struct Frames {
    /// Each frame's schema, in the order of the types.
    pub(super) list: Vec<Value>,
    /// What they refer to.
    pub(super) definitions: Map<String, Value>,
}

/// What an agent sends, as the sidecar reads it: null is as good as absent.
pub(super) fn from_agent(settings: SchemaSettings) -> Frames {
    let mut frames = of::<AgentFrame>(settings.for_deserialize());
    for frame in &frames.list {
        if let Some(members) = body(frame).and_then(|name| frames.definitions.get_mut(name)) {
            take_null_for_absent(members);
        }
    }
    frames
}

/// What the sidecar sends, as it writes it.
pub(super) fn from_sidecar(settings: SchemaSettings) -> Frames {
    of::<ServerFrame>(settings.for_serialize())
}

/// The document behind [`super::frames_schema`].
pub(super) fn document() -> Value {
    let agent = from_agent(SchemaSettings::draft2020_12());
    let sidecar = from_sidecar(SchemaSettings::draft2020_12());
    let mut definitions = agent.definitions;
    definitions.extend(sidecar.definitions);
    let direction = |about: &str, list: Vec<Value>| json!({"description": about, "oneOf": list});
    definitions.insert("AgentFrame".into(), direction("A frame that an agent sends.", agent.list));
    definitions.insert("SidecarFrame".into(), direction("A frame that an agent gets.", sidecar.list));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Frames of {SUBPROTOCOL}"),
        "anyOf": [{"$ref": "#/$defs/AgentFrame"}, {"$ref": "#/$defs/SidecarFrame"}],
        "$defs": definitions,
    })
}

/// The frame's `op`.
pub(super) fn op(frame: &Value) -> &str {
    frame["properties"]["op"]["const"].as_str().expect("the types are tagged with op")
}

fn of<T: JsonSchema>(settings: SchemaSettings) -> Frames {
    let mut generator = settings.into_generator();
    let mut root = generator.root_schema_for::<T>().to_value();
    let list = match root["oneOf"].take() {
        Value::Array(list) => list,
        _ => unreachable!("an enum of frames is one of several"),
    };
    Frames { list, definitions: generator.take_definitions(true) }
}

/// The definition that a frame refers to for its members besides `op`.
fn body(frame: &Value) -> Option<&str> {
    let reference = frame.get("$ref").or_else(|| frame.pointer("/allOf/0/$ref"))?;
    reference.as_str()?.rsplit('/').next()
}

/// Lets every member that may be left out be null, too.
fn take_null_for_absent(frame: &mut Value) {
    let required = frame["required"].as_array().cloned().unwrap_or_default();
    let Some(members) = frame["properties"].as_object_mut() else { return };
    for (name, schema) in members {
        if !required.iter().any(|required| required == name) && !takes_null(schema) {
            let schema = schema.as_object_mut().expect("a schema that refuses null is an object");
            or_null(schema);
        }
    }
}

/// Puts the rules of a schema into an alternative to null; what describes the
/// member stays outside.
fn or_null(schema: &mut Map<String, Value>) {
    let (outside, rules) = std::mem::take(schema)
        .into_iter()
        .partition::<Map<_, _>, _>(|(keyword, _)| ["description", "default"].contains(&keyword.as_str()));
    *schema = outside;
    schema.insert("anyOf".into(), json!([rules, {"type": "null"}]));
}

fn takes_null(schema: &Value) -> bool {
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    let lists = ["type", "anyOf"].map(|keyword| schema[keyword].as_array());
    let restricts = |keyword| schema.get(keyword).is_some();
    lists.into_iter().flatten().flatten().any(is_null) || !["type", "anyOf", "allOf", "$ref"].into_iter().any(restricts)
}
