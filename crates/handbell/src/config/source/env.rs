//! The environment: `HANDBELL__SECTION__KEY`, lower-cased.

use super::toml;
use crate::config::node::{Node, Origin, Scalar, Value};

const PREFIX: &str = "HANDBELL__";

/// The tree of all variables that begin with `HANDBELL__`.
pub(crate) fn from_env(variables: impl Iterator<Item = (String, String)>) -> Node {
    let mut named: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    named.sort();
    named.into_iter().map(|(name, text)| variable(name, text)).fold(Node::empty(), Node::merge)
}

fn variable(name: String, text: String) -> Node {
    let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
    Node::nested(&path, loose(text, Origin::Env(name)))
}

/// A text that says nothing of its type: it is what its key wants. Lists and
/// maps may be written in TOML.
pub(crate) fn loose(text: String, origin: Origin) -> Node {
    match toml::read_value(&text, &origin) {
        Some(node) if matches!(node.value, Value::List(_) | Value::Map(_)) => node,
        Some(Node { value: Value::Scalar { read, .. }, .. }) if read != Scalar::Text => {
            Node { value: Value::Scalar { text, read }, origin }
        }
        _ => Node::text(text, origin),
    }
}
