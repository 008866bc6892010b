//! A payload: JSON text that passes through untouched.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One JSON value as its writer wrote it: spaces, escapes, order, duplicate
/// keys and numbers like `1e400` included. Two are equal when their bytes are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Copies a value that a parser has found in a frame.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }

    /// Takes over JSON text.
    ///
    /// # Errors
    /// When the text is not exactly one JSON value.
    pub fn from_text(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// Takes over JSON bytes, as a broker hands them out.
    ///
    /// # Errors
    /// When the bytes are not exactly one JSON value in UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<&RawValue>(bytes).map(Self::from_raw)
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// When the value cannot be written, such as a map whose keys aren't text.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The JSON value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The bytes as written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.get().as_bytes()
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The deepest nesting that a frame may have.
pub const MAX_DEPTH: usize = 128;

/// Whether arrays and objects in `text` nest at most [`MAX_DEPTH`] deep.
/// Says nothing about whether the text is JSON.
#[must_use]
pub(crate) fn depth_is_bounded(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_through_untouched() {
        for text in [r#"{"b" : 1, "a":1e400, "a":"\u00e9"}"#, "null", r#""x""#, "[ ]"] {
            let json = Json::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(json.as_str(), text);
            assert_eq!(serde_json::to_string(&json).unwrap(), text);
        }
        assert!(Json::from_bytes(b"{}{}").is_err());
        assert!(Json::from_bytes(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_counts_only_outside_strings() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(depth_is_bounded(&nested(128)));
        assert!(!depth_is_bounded(&nested(129)));
        assert!(depth_is_bounded(&format!("\"\\\"{}\"", "[".repeat(500))));
    }
}
