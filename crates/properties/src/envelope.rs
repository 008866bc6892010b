//! Envelopes: as an agent writes them, and as they are stored.

use std::sync::Arc;

use handbell_protocol::{
    AgentName, Envelope, Timestamp,
    cloudevents::{Origin, Style, from_message, to_headers},
    event::{Cause, Completion, Draft},
    frame::{Deliver, ServerFrame, Trace},
};
use serde_json::value::RawValue;

use crate::json::{member, members, respelled};

/// A stored envelope reads back as it was written, its payload byte for byte.
/// One that an agent may write means the same in any spelling, and completed
/// it comes back from every form in which it travels.
///
/// # Panics
/// When that doesn't hold.
pub fn envelope(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(stored) = serde_json::from_str::<Envelope>(text) {
        comes_back(&stored);
    }
    let Some(members) = members(text) else { return };
    let [event, payload, routing] = ["event", "payload", "routing"].map(|name| member(&members, name));
    let Ok(checked) = Draft::parse(event, payload, routing) else { return };
    let [event_again, routing_again] = [event, routing].map(|raw| raw.map(respelled_raw));
    let again = Draft::parse(event_again.as_deref(), payload, routing_again.as_deref()).expect("only respelled");
    assert_eq!((&again, again.digest()), (&checked, checked.digest()), "another spelling is another draft");
    draft(&checked, source_of(event), payload);
}

/// What holds of a draft whose event was `event` and whose payload was
/// `payload`.
pub(crate) fn draft(draft: &Draft, source: AgentName, payload: Option<&RawValue>) {
    let cause = Cause { id: "evt-0".into(), correlation_id: "c".into(), at: Timestamp::default(), hops: 3 };
    for cause in [None, Some(&cause)] {
        let with = Completion { source: &source, id: "evt-1".into(), now: Timestamp::from_millis(1), cause };
        let Ok(envelope) = draft.clone().complete(with) else { continue };
        assert_eq!(envelope.payload.as_str(), payload.map_or("null", RawValue::get), "a payload was touched");
        assert_eq!(envelope.event.source, source.as_str(), "the source is another's");
        assert!(envelope.routing.topic.is_some() != envelope.routing.to.is_some(), "it goes nowhere or twice");
        comes_back(&envelope);
        travels(&envelope);
        is_delivered(envelope);
    }
}

/// The agent that may send an event: whoever it names, if it names one.
pub(crate) fn source_of(event: Option<&RawValue>) -> AgentName {
    let members = event.and_then(|event| members(event.get())).unwrap_or_default();
    let named = |name| AgentName::parse(&serde_json::from_str::<String>(member(&members, name)?.get()).ok()?).ok();
    let fallback = || AgentName::parse("/a").expect("a good name");
    named("source").or_else(|| named("agent_id")).unwrap_or_else(fallback)
}

/// Written as JSON and read again it is the same.
pub(crate) fn comes_back(envelope: &Envelope) {
    let written = serde_json::to_string(envelope).expect("an envelope can be written");
    let again: Envelope = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(&again, envelope, "it came back from JSON as another: {written}");
    assert_eq!(again.payload.as_bytes(), envelope.payload.as_bytes(), "a payload was touched");
}

/// As a message of either kind of broker and read again it is the same.
pub(crate) fn travels(envelope: &Envelope) {
    for style in [Style::Kafka, Style::Nats] {
        let headers = to_headers(envelope, style);
        let origin = Origin {
            topic: envelope.routing.topic.as_ref(),
            id: "another",
            source: "another",
            at: Timestamp::from_millis(7),
            partition_key: None,
        };
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let again = from_message(headers, envelope.payload.as_bytes(), &origin).expect("it says where it goes");
        assert_eq!(&again, envelope, "it came back from {style:?} as another");
        assert_eq!(again.payload.as_bytes(), envelope.payload.as_bytes(), "a payload was touched");
    }
}

/// The frame that hands it out is an object that begins with its `op`, and
/// has the payload byte for byte.
fn is_delivered(envelope: Envelope) {
    let payload = envelope.payload.clone();
    let deliver = Deliver {
        sub: "s".into(),
        delivery: "d".into(),
        attempt: 1,
        idempotency_key: "k".into(),
        position: "p".into(),
        envelope: Arc::new(envelope),
        trace: Trace { traceparent: "00".into() },
        action: None,
        step: None,
        call: None,
    };
    let text = ServerFrame::Deliver(deliver).to_text();
    assert!(text.starts_with(r#"{"op":"deliver","#), "op doesn't stand first: {text}");
    let members = members(&text).expect("a frame is an object without doubled members");
    assert_eq!(member(&members, "payload").map(RawValue::get), Some(payload.as_str()), "a payload was touched");
}

fn respelled_raw(raw: &RawValue) -> Box<RawValue> {
    let text = members(raw.get()).map_or_else(|| raw.get().to_owned(), |members| respelled(&members));
    RawValue::from_string(text.trim().to_owned()).expect("respelled JSON is JSON")
}
