//! JSON objects by their members, read by another reader than Handbell's own.

use std::fmt::Write as _;

use serde_json::value::RawValue;

/// The members of an object in their order, each still as text; `None` where
/// `text` is no object or a member stands twice.
pub(crate) fn members(text: &str) -> Option<Vec<(String, Box<RawValue>)>> {
    let members: Ordered = serde_json::from_str(text).ok()?;
    let doubled = (1..members.0.len()).any(|at| members.0[..at].iter().any(|(name, _)| *name == members.0[at].0));
    (!doubled).then_some(members.0)
}

/// The value of a member, unless it is absent.
pub(crate) fn member<'a>(members: &'a [(String, Box<RawValue>)], name: &str) -> Option<&'a RawValue> {
    members.iter().find(|(have, _)| have == name).map(|(_, value)| &**value)
}

/// The same object in another spelling: the members in reverse order, with
/// blanks between, and names written with escapes.
pub(crate) fn respelled(members: &[(String, Box<RawValue>)]) -> String {
    let member = |(name, value): &(String, Box<RawValue>)| format!("{} :\n\t{}", escaped(name), value.get());
    let all: Vec<String> = members.iter().rev().map(member).collect();
    format!(" {{ {} }} ", all.join(" ,\r\n"))
}

fn escaped(name: &str) -> String {
    let mut text = String::from("\"");
    for unit in name.encode_utf16() {
        write!(text, "\\u{unit:04x}").expect("a string takes any text");
    }
    text + "\""
}

struct Ordered(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = Ordered;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
