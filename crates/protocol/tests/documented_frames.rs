//! Every frame in the documentation is a frame: what an agent is shown to send
//! is read by the sidecar's own reader, what it is shown to get meets the
//! schema of the sidecar's own types.

use std::path::Path;

use handbell_protocol::frame::{ClientFrame, ServerFrame};
use serde_json::Value;

const SERVER_OPS: [&str; 14] = [
    "welcome",
    "published",
    "rejected",
    "subscribed",
    "unsubscribed",
    "level",
    "deliver",
    "settled",
    "gone",
    "reply",
    "cancelled",
    "gap",
    "goaway",
    "error",
];

#[test]
fn the_protocol_page_shows_only_frames_that_are_valid() {
    assert!(check("protocol.md") > 40, "the page has lost its examples");
}

#[test]
fn the_agents_guide_shows_only_frames_that_are_valid() {
    assert!(check("agents.md") >= 10, "the guide has lost its examples");
}

/// Checks the frames of one page; gives their number.
fn check(page: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let server =
        jsonschema::validator_for(&schemars::schema_for!(ServerFrame).to_value()).expect("the types give a schema");
    let frames = frames(&text);
    for (line, frame) in &frames {
        if let Err(fault) = validate(frame, &server) {
            panic!("docs/{page}:{line}: {fault}\n{frame}");
        }
    }
    frames.len()
}

/// The lines of code blocks that are frames, with their numbers.
fn frames(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut frames = vec![];
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside;
        }
        let line = line.trim_start_matches(['>', '<', ' ']);
        if inside && line.starts_with("{\"op\":") {
            frames.push((index + 1, line));
        }
    }
    frames
}

fn validate(text: &str, server: &jsonschema::Validator) -> Result<(), String> {
    let frame: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let op = frame["op"].as_str().unwrap_or_default();
    if SERVER_OPS.contains(&op) {
        return server.validate(&frame).map_err(|error| error.to_string());
    }
    match ClientFrame::parse(text).map_err(|error| error.reason)? {
        ClientFrame::Publish(publish) => publish.draft.map(drop).map_err(|refusal| refusal.to_string()),
        ClientFrame::Request(request) => request.publish.draft.map(drop).map_err(|refusal| refusal.to_string()),
        ClientFrame::Ack(ack) => {
            ack.publish.into_iter().try_for_each(|output| output.map(drop).map_err(|refusal| refusal.to_string()))
        }
        _ => Ok(()),
    }
}
