//! The generated schemas and the readers are held together: what one takes
//! the other takes, and what one refuses the other refuses.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::path::Path;

use handbell_protocol::{
    AgentName, Envelope, Refusal, Timestamp,
    event::{Completion, Draft},
    frame::ClientFrame,
    schema,
};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The frames that the protocol page shows.
fn documented() -> Vec<Value> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let text = std::fs::read_to_string(page).unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches(['>', '<', ' ']));
    lines.filter(|line| line.starts_with("{\"op\":")).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn direction(name: &str) -> Validator {
    let mut document: Value = serde_json::from_str(&schema::frames_schema()).unwrap();
    let root = document.as_object_mut().unwrap();
    root.remove("anyOf");
    root.insert("$ref".into(), format!("#/$defs/{name}").into());
    jsonschema::validator_for(&document).unwrap()
}

/// Whether the sidecar takes a frame of the agent `/a`, its events included.
fn reads(frame: &Value) -> bool {
    match ClientFrame::parse(&frame.to_string()) {
        Err(_) => false,
        Ok(ClientFrame::Publish(publish)) => completes(publish.draft),
        Ok(ClientFrame::Request(request)) => completes(request.publish.draft),
        Ok(ClientFrame::Ack(ack)) => ack.publish.into_iter().all(completes),
        Ok(_) => true,
    }
}

fn completes(draft: Result<Draft, Refusal>) -> bool {
    let agent = AgentName::parse("/a").unwrap();
    let with = Completion { source: &agent, id: "evt-1".into(), now: Timestamp::default(), cause: None };
    draft.is_ok_and(|draft| draft.complete(with).is_ok())
}

fn ops(document: &Value, direction: &str) -> Vec<String> {
    let frames = document["$defs"][direction]["oneOf"].as_array().unwrap();
    frames.iter().map(|frame| frame["properties"]["op"]["const"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_documented_frame_is_in_its_schema_and_each_frame_is_documented() {
    let document: Value = serde_json::from_str(&schema::frames_schema()).unwrap();
    let frames = documented();
    for (name, own) in [("AgentFrame", true), ("SidecarFrame", false)] {
        let validator = direction(name);
        for op in ops(&document, name) {
            let mut shown = frames.iter().filter(|frame| frame["op"] == *op).peekable();
            assert!(shown.peek().is_some(), "the page shows no {op}");
            for frame in shown {
                assert_eq!(reads(frame), own, "{frame}");
                assert!(validator.is_valid(frame), "{:?}\n{frame}", validator.validate(frame).unwrap_err().to_string());
            }
        }
    }
}

/// Frames with everything that they may have.
fn full() -> Vec<Value> {
    let event = json!({"type": "T", "id": "i", "source": null, "timestamp": "2026-11-21T14:30:00Z", "version": "1", "correlation_id": "c", "causation_id": "d", "kind": "event", "weight": 1.5});
    let routing = json!({"topic": "a.b", "partition_key": "k", "priority": 3});
    let retry = json!({"max_retries": 3, "backoff_type": "fixed", "initial_delay": "1s", "max_delay": "1m", "retry_on": ["timeout"], "no_retry_on": [], "jitter": 0.5});
    vec![
        json!({"op": "hello", "agent": "/a", "token": "t", "pools": ["p"], "capabilities": ["c"], "credit": 1, "resume": "r"}),
        json!({"op": "publish", "seq": 1, "event": event, "payload": [1], "routing": routing, "cause": "d", "usage": {"tokens": 1}}),
        json!({"op": "request", "seq": 1, "call": "c", "deadline": "5s", "default": null, "event": event, "payload": 1, "routing": {"to": "/b"}}),
        json!({"op": "subscribe", "sub": "s", "topics": ["a.*", ">"], "filter": "type=T", "group": "g", "from": {"time": "2026-11-21T14:30:00Z"}, "credit": 0, "ack_wait": "30s", "order": "none", "retry": retry, "level": true}),
        json!({"op": "unsubscribe", "sub": "s"}),
        json!({"op": "credit", "sub": "s", "add": 5}),
        json!({"op": "ack", "deliveries": ["d"], "publish": [{"event": event, "payload": 1, "routing": routing}], "usage": {"tokens": 1}, "confirm": true}),
        json!({"op": "nack", "delivery": "d", "class": "timeout", "reason": "r", "delay": "2s", "confirm": true}),
        json!({"op": "reject", "delivery": "d", "reason": "r", "confirm": true}),
        json!({"op": "extend", "delivery": "d", "for": "1h"}),
        json!({"op": "release", "deliveries": ["d"], "confirm": true}),
        json!({"op": "respond", "delivery": "d", "payload": 1, "status": "error", "event": {"type": "T"}, "confirm": true}),
        json!({"op": "cancel", "call": "c"}),
        json!({"op": "bye"}),
    ]
}

/// The places in a frame: the members of the frame, of its event and its
/// routing, and of the outputs of an `ack`.
fn places(frame: &Value) -> Vec<String> {
    let mut places = vec![];
    for object in ["", "/event", "/routing", "/publish/0", "/publish/0/event", "/publish/0/routing", "/retry"] {
        if let Some(Value::Object(members)) = frame.pointer(object) {
            places.extend(members.keys().map(|name| format!("{object}/{name}")));
        }
    }
    places
}

/// The same frame with the member at `place` taken out, or put in its place.
fn changed(frame: &Value, place: &str, value: Option<Value>) -> Value {
    let mut frame = frame.clone();
    let (object, name) = place.rsplit_once('/').unwrap();
    let members = frame.pointer_mut(object).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.into(), value),
        None => members.remove(name),
    };
    frame
}

#[test]
fn every_frame_is_among_the_full_ones() {
    let document: Value = serde_json::from_str(&schema::frames_schema()).unwrap();
    let full: Vec<_> = full().iter().map(|frame| frame["op"].as_str().unwrap().to_owned()).collect();
    assert_eq!(full, ops(&document, "AgentFrame"));
}

#[test]
fn schema_and_reader_need_the_same_members() {
    let validator = direction("AgentFrame");
    let mut needed = 0;
    for frame in full() {
        assert!(reads(&frame) && validator.is_valid(&frame), "{frame}");
        for place in places(&frame).into_iter().filter(|place| !place.ends_with("/correlation_id")) {
            let without = changed(&frame, &place, None);
            assert_eq!(reads(&without), validator.is_valid(&without), "without {place}: {frame}");
            needed += usize::from(!reads(&without));
        }
    }
    assert!(needed > 30, "only {needed} members were needed");
}

#[test]
fn schema_and_reader_take_null_in_the_same_places() {
    let validator = direction("AgentFrame");
    for frame in full() {
        for place in places(&frame).into_iter().filter(|place| !place.ends_with("/correlation_id")) {
            let with_null = changed(&frame, &place, Some(Value::Null));
            assert_eq!(reads(&with_null), validator.is_valid(&with_null), "null at {place}: {frame}");
        }
    }
}

#[test]
fn schema_and_reader_refuse_the_same_values() {
    let validator = direction("AgentFrame");
    let long = "x".repeat(129);
    let values = [
        json!(-1),
        json!(0),
        json!(1.5),
        json!(9_007_199_254_740_992_u64),
        json!(2_147_483_648_u64),
        json!(""),
        json!("a b"),
        json!(long),
        json!("/a"),
        json!("a.*"),
        json!("5 s"),
        json!([]),
        json!({}),
        json!([1]),
        json!(["a b"]),
        json!(true),
    ];
    let mut refused = 0;
    for frame in full() {
        for place in places(&frame) {
            for value in &values {
                let other = changed(&frame, &place, Some(value.clone()));
                let (read, valid) = (reads(&other), validator.is_valid(&other));
                // Read as a row of values; read when the answer is made.
                let lenient = place == "/retry" && value.is_array() || frame["op"] == "respond" && place == "/event";
                assert!(valid || !read || lenient, "the schema refuses what is read, {value} at {place}: {frame}");
                if valid && !read {
                    assert!(
                        is_beyond_schemas(&place, value),
                        "the schema takes what is refused, {value} at {place}: {frame}"
                    );
                }
                refused += usize::from(!read);
            }
        }
    }
    assert!(refused > 800, "only {refused} values were refused");
}

/// What the reader checks and a schema here doesn't: instants, bounds of
/// durations, and what members say together.
fn is_beyond_schemas(place: &str, value: &Value) -> bool {
    place.ends_with("/timestamp") && value.is_string() || place == "/deliveries" && value == &json!([])
}

#[test]
fn a_complete_envelope_is_in_its_schema() {
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema::envelope_schema()).unwrap()).unwrap();
    let contract = json!({"event":{"id":"evt-20251129-143000-abc123","type":"TaskCompletedEvent","source":"/backend-architect","timestamp":"2025-11-29T14:30:00Z","version":"1.0","correlation_id":"c-1","causation_id":"evt-0"},"payload":{"task_id":"T1"},"routing":{"topic":"project.tasks","partition_key":"project-xyz","priority":"normal"}});
    assert!(validator.is_valid(&contract));
    let written = serde_json::to_value(serde_json::from_value::<Envelope>(contract.clone()).unwrap()).unwrap();
    assert!(validator.is_valid(&written));
    for place in places(&contract) {
        let without = changed(&contract, &place, None);
        let optional = ["/event/causation_id", "/routing/partition_key"].contains(&place.as_str());
        assert_eq!(validator.is_valid(&without), optional, "without {place}");
    }
    assert!(
        !validator.is_valid(&changed(&contract, "/routing/to", Some(json!("all")))),
        "topic and to exclude each other"
    );
}

#[test]
fn the_asyncapi_document_has_every_frame_and_no_loose_reference() {
    let document: Value = serde_json::from_str(&schema::asyncapi()).unwrap();
    let frames: Value = serde_json::from_str(&schema::frames_schema()).unwrap();
    for (operation, name) in [("fromAgent", "AgentFrame"), ("fromSidecar", "SidecarFrame")] {
        let messages = document["operations"][operation]["messages"].as_array().unwrap();
        let listed: Vec<_> =
            messages.iter().map(|message| message["$ref"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
        assert_eq!(listed, ops(&frames, name));
    }
    let mut references = 0;
    loose(&document, &document, &mut references);
    assert!(references > 100, "only {references} references");
}

fn loose(document: &Value, value: &Value, references: &mut usize) {
    if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        *references += 1;
    }
    match value {
        Value::Object(members) => members.values().for_each(|value| loose(document, value, references)),
        Value::Array(values) => values.iter().for_each(|value| loose(document, value, references)),
        _ => {}
    }
}

#[test]
fn generated_texts_are_the_same_each_time_and_sorted() {
    for generate in [schema::envelope_schema, schema::frames_schema, schema::asyncapi] {
        let text = generate();
        assert_eq!(text, generate());
        assert!(text.ends_with("}\n"));
        let Value::Object(members) = serde_json::from_str(&text).unwrap() else { panic!("no object") };
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("  \"")).collect();
        assert!(lines.is_sorted(), "{lines:?}");
        assert!(!members.is_empty());
    }
}
