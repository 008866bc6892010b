//! Frames of an agent.

use handbell_protocol::frame::{ClientFrame, ErrorFrame, FrameError, Publish, ServerFrame};
use serde_json::value::RawValue;

use crate::{
    envelope::{draft, source_of},
    json::{member, members, respelled},
};

/// A frame reads the same in any spelling of its members; its drafts make
/// envelopes that hold (see [`crate::envelope`]); a refusal can be told.
///
/// # Panics
/// When that doesn't hold.
pub fn frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ClientFrame::parse(text) {
        Ok(frame) => accepted(text, &frame),
        Err(error) => refused(&error),
    }
}

fn accepted(text: &str, frame: &ClientFrame) {
    let members = members(text).expect("a frame is an object without doubled members");
    let again = ClientFrame::parse(&respelled(&members)).expect("the same frame in another spelling");
    assert_eq!(format!("{again:?}"), format!("{frame:?}"), "another spelling is another frame");
    match frame {
        ClientFrame::Publish(publish) => published(publish, &members),
        ClientFrame::Request(request) => published(&request.publish, &members),
        ClientFrame::Ack(ack) => {
            let outputs = member(&members, "publish").filter(|raw| raw.get() != "null").map_or("[]", RawValue::get);
            let outputs: Vec<Box<RawValue>> = serde_json::from_str(outputs).expect("outputs are a list");
            assert_eq!(outputs.len(), ack.publish.len(), "an output was dropped");
            for (raw, output) in outputs.iter().zip(&ack.publish) {
                let members = crate::json::members(raw.get()).expect("an output is an object");
                if let Ok(output) = output {
                    draft(output, source_of(member(&members, "event")), member(&members, "payload"));
                }
            }
        }
        ClientFrame::Respond(respond) => {
            let written = member(&members, "payload").map_or("null", RawValue::get);
            assert_eq!(respond.payload.as_str(), written, "a payload was touched");
        }
        _ => {}
    }
}

fn published(publish: &Publish, members: &[(String, Box<RawValue>)]) {
    if let Ok(checked) = &publish.draft {
        draft(checked, source_of(member(members, "event")), member(members, "payload"));
    }
}

fn refused(error: &FrameError) {
    assert!(!error.reason.is_empty(), "a refusal says nothing");
    let told = ServerFrame::Error(ErrorFrame {
        code: FrameError::CODE,
        reason: error.reason.clone(),
        op_ref: error.op.clone(),
        sub: error.sub.clone(),
        seq: error.seq,
        delivery: error.delivery.clone(),
        call: error.call.clone(),
    });
    assert!(members(&told.to_text()).is_some(), "a refusal is no frame");
}
