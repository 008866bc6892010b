//! One file of a catalogue.

use serde::Deserialize;
use serde_json::Value;

use super::{BadCatalogue, Entry};
use crate::event::{Kind, id::may_be_given};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: String,
    types: Vec<Type>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    #[serde(rename = "type")]
    name: String,
    meaning: String,
    /// By the name's suffix, if it is left out.
    kind: Option<Kind>,
    /// Anything, if it is left out.
    #[serde(default = "anything")]
    schema: Value,
}

fn anything() -> Value {
    Value::Bool(true)
}

/// A type, and where in its file it stands.
pub(super) struct Loaded {
    pub(super) place: String,
    pub(super) entry: Entry,
}

/// Reads and compiles the types of one file.
pub(super) fn load(name: &str, text: &str) -> Result<Vec<Loaded>, BadCatalogue> {
    let bad = |place: String, reason: String| BadCatalogue { file: name.into(), place, reason };
    let file: File = serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or(&reason).to_owned();
        bad(format!("line {}, column {}", error.line(), error.column()), reason)
    })?;
    if !may_be_given(&file.category) {
        return Err(bad("category".into(), "must be 1 to 255 printable characters".into()));
    }
    let types = file.types.into_iter().enumerate();
    types
        .map(|(index, one)| {
            let place = format!("types[{index}]");
            let entry = entry(&file.category, one).map_err(|(at, reason)| bad(format!("{place}.{at}"), reason))?;
            Ok(Loaded { place, entry })
        })
        .collect()
}

/// Compiles one type; a fault has its place within the type.
fn entry(category: &str, one: Type) -> Result<Entry, (String, String)> {
    let Type { name, meaning, kind, schema } = one;
    if !may_be_given(&name) {
        return Err(("type".into(), "must be 1 to 255 printable characters".into()));
    }
    let validator = jsonschema::validator_for(&schema)
        .map_err(|error| (dotted("schema", error.instance_path().as_str()), error.to_string()))?;
    let kind = kind.unwrap_or_else(|| Kind::of_type(&name));
    Ok(Entry { name, category: category.into(), kind, meaning, schema, validator })
}

/// A JSON Pointer as people write a path: `/items/0/name` under `payload` is
/// `payload.items[0].name`.
pub(super) fn dotted(root: &str, pointer: &str) -> String {
    let mut path = root.to_owned();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            path.push('.');
            path.push_str(&part);
        }
    }
    path
}
