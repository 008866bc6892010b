//! A message's body as a payload.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::json::Json;

/// The payload that a body is, and its media type where it was no JSON.
///
/// JSON stays byte for byte. An empty body is `null`. Anything else becomes
/// JSON: UTF-8 a string, other bytes `{"data_base64": "…"}`. What calls itself
/// text is a string even where it could be read as JSON.
pub(super) fn payload(media_type: Option<String>, body: &[u8]) -> (Json, Option<String>) {
    if body.is_empty() {
        return (Json::null(), None);
    }
    if media_type.as_deref().is_none_or(is_json)
        && let Ok(json) = Json::from_bytes(body)
    {
        return (json, None);
    }
    (wrapped(body), media_type)
}

/// Whether a media type is JSON: `application/json`, `text/json`, `…+json`.
pub(super) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    ["application/json", "text/json"].contains(&&*essence) || essence.ends_with("+json")
}

/// A media type without its parameters, in lower case.
pub(super) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The bytes of `data_base64`, if they are that.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn wrapped(body: &[u8]) -> Json {
    let json = match std::str::from_utf8(body) {
        Ok(text) => Json::of(text),
        Err(_) => Json::of(&serde_json::json!({ "data_base64": STANDARD.encode(body) })),
    };
    json.expect("text and an object of text can be written")
}
