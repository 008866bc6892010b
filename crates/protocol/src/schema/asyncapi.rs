//! The WebSocket as an AsyncAPI document.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::frames::{self, Frames, op};
use crate::frame::{PATH, SUBPROTOCOL};

/// The document behind [`super::asyncapi`].
pub(super) fn document() -> Value {
    let settings =
        || SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
    let agent = frames::from_agent(settings());
    let sidecar = frames::from_sidecar(settings());
    let operations = json!({
        "fromAgent": operation("receive", "What an agent sends.", &agent),
        "fromSidecar": operation("send", "What an agent gets.", &sidecar),
    });
    let mut messages = Map::new();
    let mut schemas = Map::new();
    for Frames { list, definitions } in [agent, sidecar] {
        messages.extend(list.into_iter().map(|frame| (op(&frame).to_owned(), message(frame))));
        schemas.extend(definitions);
    }
    let refs = messages.keys().map(|op| (op.clone(), json!({"$ref": format!("#/components/messages/{op}")})));
    json!({
        "asyncapi": "3.0.0",
        "info": info(),
        "defaultContentType": "application/json",
        "servers": {"sidecar": {
            "host": "127.0.0.1:7710",
            "protocol": "ws",
            "description": "The sidecar beside the agent, where it listens by default.",
        }},
        "channels": {"session": {
            "address": PATH,
            "title": "A session",
            "description": "One WebSocket between an agent and its sidecar; one JSON object per text frame.",
            "servers": [{"$ref": "#/servers/sidecar"}],
            "messages": refs.collect::<Map<_, _>>(),
            "bindings": {"ws": {"method": "GET", "headers": {
                "type": "object",
                "properties": {"Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL}},
            }}},
        }},
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    })
}

fn info() -> Value {
    json!({
        "title": format!("Handbell agent protocol, {SUBPROTOCOL}"),
        "version": "1.0.0",
        "description": "Agents publish, receive and answer events through the sidecar beside them. docs/protocol.md says what each frame means.",
        "license": {"name": "Apache-2.0"},
    })
}

fn operation(action: &str, about: &str, frames: &Frames) -> Value {
    let messages =
        frames.list.iter().map(|frame| json!({"$ref": format!("#/channels/session/messages/{}", op(frame))}));
    json!({
        "action": action,
        "summary": about,
        "channel": {"$ref": "#/channels/session"},
        "messages": messages.collect::<Vec<_>>(),
    })
}

fn message(mut frame: Value) -> Value {
    let about = frame.as_object_mut().and_then(|frame| frame.remove("description"));
    let summary = about.as_ref().and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    json!({"name": op(&frame), "title": op(&frame), "summary": summary, "payload": frame})
}
