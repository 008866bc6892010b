//! Events that are a JSON object of their own: structured mode, complete
//! Handbell envelopes, and plain JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{attributes::Attributes, body};
use crate::{event::Scalar, json::Json};

/// An object's members, each still as text; of one that stands twice, the last.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What a body tells: attributes, the payload, and its media type where it
/// was no JSON.
pub(super) struct Parts {
    pub(super) attributes: Attributes,
    pub(super) payload: Json,
    pub(super) foreign_type: Option<String>,
}

/// Structured mode: attributes and `data` or `data_base64` are members.
/// `None` where the body is no JSON object.
pub(super) fn structured(body: &[u8]) -> Option<Parts> {
    let mut members: Members<'_> = serde_json::from_slice(body).ok()?;
    let data = members.remove("data");
    let base64 = members.remove("data_base64").and_then(text);
    let mut attributes = Attributes::default();
    scalars(&members, |name| Some(name), &mut attributes);
    let media_type = attributes.take("datacontenttype");
    let (payload, foreign_type) = match (data, base64) {
        (Some(data), _) => (Json::from_raw(data), media_type.filter(|media_type| !body::is_json(media_type))),
        (None, Some(base64)) => match body::decode(&base64) {
            Some(bytes) => body::payload(media_type, &bytes),
            None => body::payload(Some("text/plain".into()), base64.as_bytes()),
        },
        (None, None) => (Json::null(), None),
    };
    Some(Parts { attributes, payload, foreign_type })
}

/// Whether a body that no header describes is in structured mode.
pub(super) fn looks_structured(body: &[u8]) -> bool {
    serde_json::from_slice::<Members<'_>>(body).is_ok_and(|members| {
        ["specversion", "type"].iter().all(|name| members.get(*name).copied().and_then(text).is_some())
    })
}

/// A complete Handbell envelope: an `event` with its `type`, a payload and a
/// routing. `None` where the body is anything else.
pub(super) fn envelope(body: &[u8]) -> Option<Parts> {
    let members: Members<'_> = serde_json::from_slice(body).ok()?;
    let event: Members<'_> = serde_json::from_str(members.get("event")?.get()).ok()?;
    event.get("type").copied().and_then(text)?;
    let mut attributes = Attributes::default();
    scalars(&event, of_event, &mut attributes);
    if let Some(routing) = members.get("routing").and_then(|routing| serde_json::from_str(routing.get()).ok()) {
        scalars(&routing, of_routing, &mut attributes);
    }
    let payload = members.get("payload").copied().map_or_else(Json::null, Json::from_raw);
    Some(Parts { attributes, payload, foreign_type: None })
}

/// Plain JSON: all of it is the payload; a `type` of its own names the event.
pub(super) fn plain(media_type: Option<String>, body: &[u8]) -> Parts {
    let mut attributes = Attributes::default();
    if let Some(own) = serde_json::from_slice::<Members<'_>>(body).ok().and_then(|members| text(members.get("type")?)) {
        attributes.insert("type", Scalar::Text(own));
    }
    let (payload, foreign_type) = body::payload(media_type, body);
    Parts { attributes, payload, foreign_type }
}

/// The attribute that a member of `event` is, older agents' names included.
fn of_event(member: &str) -> Option<&str> {
    Some(match member {
        "correlation_id" | "coordination_id" => "correlationid",
        "causation_id" => "causationid",
        "agent_id" => "source",
        "version" => "eventversion",
        "timestamp" => "time",
        other => other,
    })
}

fn of_routing(member: &str) -> Option<&str> {
    match member {
        "partition_key" => Some("partitionkey"),
        "priority" | "to" | "hops" => Some(member),
        _ => None,
    }
}

/// Adds the members that are attributes, and text, number or boolean.
fn scalars(members: &Members<'_>, attribute: fn(&str) -> Option<&str>, attributes: &mut Attributes) {
    for (name, raw) in members {
        if let (Some(name), Ok(value)) = (attribute(name), serde_json::from_str::<Scalar>(raw.get())) {
            attributes.insert(name, value);
        }
    }
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}
