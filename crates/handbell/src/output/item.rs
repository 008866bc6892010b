//! JSON of somebody else's: as it was written, and as far as it can be looked
//! into. A payload may hold what no value here can, like `1e400`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value as Json, value::RawValue};

/// So deep is looked into; what lies deeper is shown as its text.
const DEEPEST: usize = 64;

/// So many digits a number of any size keeps.
const DIGITS: usize = 15;

/// A thing of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    raw: Box<RawValue>,
    value: Json,
    exact: bool,
}

impl Item {
    /// Looks into `raw`.
    pub(crate) fn new(raw: Box<RawValue>) -> Self {
        let mut exact = true;
        let value = look(&raw, DEEPEST, &mut exact);
        Self { raw, value, exact }
    }

    /// What is written as `value` is.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        Self::new(serde_json::value::to_raw_value(value).expect("answers have text keys, so they can be written"))
    }

    /// As it was written.
    pub(crate) fn raw(&self) -> &str {
        self.raw.get()
    }

    /// As far as it can be looked into: what doesn't fit stands as its text.
    pub(crate) fn value(&self) -> &Json {
        &self.value
    }

    /// Whether the value says the same as what was written.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::new)
    }
}

fn look(raw: &RawValue, depth: usize, exact: &mut bool) -> Json {
    let text = raw.get();
    let seen = match text.as_bytes().first() {
        Some(b'{' | b'[') if depth == 0 => None,
        Some(b'{') => serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text)
            .ok()
            .map(|members| members.iter().map(|(key, raw)| (key.clone(), look(raw, depth - 1, exact))).collect()),
        Some(b'[') => serde_json::from_str::<Vec<Box<RawValue>>>(text)
            .ok()
            .map(|items| items.iter().map(|raw| look(raw, depth - 1, exact)).collect()),
        Some(b'-' | b'0'..=b'9') => number(text, exact),
        _ => serde_json::from_str(text).ok(),
    };
    seen.unwrap_or_else(|| {
        *exact = false;
        text.into()
    })
}

/// A number, unless its value would be another one than was written.
fn number(text: &str, exact: &mut bool) -> Option<Json> {
    let number: Json = serde_json::from_str(text).ok()?;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let written = number.to_string();
    let same = written == text;
    *exact &= same;
    (same || digits <= DIGITS).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(text: &str) -> Item {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_fits_is_looked_into_and_what_does_not_stands_as_text() {
        let plain = item(r#"{"a": [1, 2.5, "x", null, true], "b": {"c": -3}}"#);
        assert_eq!(plain.value(), &json!({"a": [1, 2.5, "x", null, true], "b": {"c": -3}}));
        assert!(plain.is_exact());
        for (odd, shown) in [
            (r#"{"n": 1e400, "m": 1}"#, json!({"n": "1e400", "m": 1})),
            (r#"[12345678901234567890123]"#, json!(["12345678901234567890123"])),
            (r#"{"t": "hi \ud83c"}"#, json!({"t": r#""hi \ud83c""#})),
            ("1.50", json!(1.5)),
            (r#"{"\ud83c": 1}"#, json!(r#"{"\ud83c": 1}"#)),
        ] {
            let item = item(odd);
            assert_eq!((item.value(), item.is_exact(), item.raw()), (&shown, false, odd));
        }
    }

    #[test]
    fn no_depth_is_too_deep() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(!item(&deep).is_exact());
    }
}
