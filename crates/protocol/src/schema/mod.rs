//! The protocol described for other programs: JSON Schemas of the envelope and
//! of every frame, and an AsyncAPI 3 document of the WebSocket.
//!
//! Everything is generated from the types that read and write frames; the few
//! frames that are read by hand have mirrors here (`agent`), which a test
//! holds to the reader. The texts are committed as `docs/schemas/*.json` and
//! `docs/asyncapi.json`, so each function gives the same text in every build:
//! members sorted, two spaces, one line break at the end.

mod agent;
mod asyncapi;
mod frames;
mod text;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

pub(crate) use text::DurationText;

use crate::event::Envelope;

/// JSON Schema (2020-12) of the complete envelope, as it is delivered.
#[must_use]
pub fn envelope_schema() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    pretty(&settings.into_generator().into_root_schema_for::<Envelope>().to_value())
}

/// JSON Schema (2020-12) of every frame. `$defs` has `AgentFrame`, what an
/// agent sends, and `SidecarFrame`, what it gets; the whole takes both.
#[must_use]
pub fn frames_schema() -> String {
    pretty(&frames::document())
}

/// The WebSocket as an AsyncAPI 3.0 document, from the sidecar's side: it
/// receives what agents send.
#[must_use]
pub fn asyncapi() -> String {
    pretty(&asyncapi::document())
}

/// The text of a document, the same whatever order a map keeps.
fn pretty(document: &Value) -> String {
    let text = serde_json::to_string_pretty(&sorted(document)).expect("a JSON value can be written");
    text + "\n"
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}
