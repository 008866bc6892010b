//! One member of a payload, found without reading the rest into memory.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The value at `path`, one name for each level of objects; of a member that
/// stands twice, the last. `None` where a level is no object or lacks the name.
pub(super) fn find<'a>(json: &'a str, path: &[Box<str>]) -> Option<&'a str> {
    path.iter().try_fold(json, |json, name| member(json, name))
}

fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Member(name).deserialize(&mut reader).ok().flatten().map(RawValue::get)
}

/// A value as the text that filters compare; `None` for null, objects and
/// arrays.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Text(name)) = map.next_key()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(json: &'a str, path: &str) -> Option<Cow<'a, str>> {
        let path: Vec<Box<str>> = path.split('.').map(Into::into).collect();
        find(json, &path).and_then(text)
    }

    #[test]
    fn scalars_are_found_at_any_depth_as_their_text() {
        let json = r#" {"a": {"b":"x\u00e9", "n" : 1.50, "t":true}, "\u0063":"escaped name", "big":1e400} "#;
        assert_eq!(at(json, "a.b").as_deref(), Some("xé"));
        assert_eq!(at(json, "a.n").as_deref(), Some("1.50"));
        assert_eq!(at(json, "a.t").as_deref(), Some("true"));
        assert_eq!(at(json, "c").as_deref(), Some("escaped name"));
        assert_eq!(at(json, "big").as_deref(), Some("1e400"));
    }

    #[test]
    fn what_has_no_text_or_is_not_there_is_nothing() {
        let json = r#"{"o":{},"l":[1],"z":null}"#;
        for path in ["o", "l", "z", "x", "o.x", "z.x"] {
            assert_eq!(at(json, path), None, "{path}");
        }
        assert_eq!(at("5", "a"), None);
        assert!(find(json, &["z".into()]).is_some(), "a null is there, it only has no text");
    }

    #[test]
    fn the_last_of_a_doubled_member_counts() {
        assert_eq!(at(r#"{"a":1,"a":2}"#, "a").as_deref(), Some("2"));
    }
}
