//! A configuration before it has a type: a tree in which every value knows
//! where it was written, so that an error can point there.

use std::{fmt, sync::Arc};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: the default counts.
    Default,
    /// In the configuration file, at that line (from 1).
    File {
        /// The file as it was named.
        file: Arc<str>,
        /// The line.
        line: usize,
    },
    /// In that environment variable.
    Env(String),
    /// In `--set` with that key.
    Set(String),
    /// In that flag, such as `--listen`.
    Flag(&'static str),
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What a configuration is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    /// The text as written and what it reads as; a key that wants text takes
    /// the text, so that a namespace `007` stays what it is.
    Scalar {
        text: String,
        read: Scalar,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// What a scalar reads as.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

/// A key, where it was written, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) node: Node,
}

/// One step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    pub(crate) fn empty() -> Self {
        Self { value: Value::Map(Vec::new()), origin: Origin::Default }
    }

    pub(crate) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self { value: Value::Scalar { text: text.into(), read: Scalar::Text }, origin }
    }

    /// A map with one key in a map with one key …, the value innermost.
    pub(crate) fn nested(path: &[String], leaf: Self) -> Self {
        path.iter().rev().fold(leaf, |node, key| {
            let origin = node.origin.clone();
            let entry = Entry { key: key.clone(), origin: origin.clone(), node };
            Self { value: Value::Map(vec![entry]), origin }
        })
    }

    /// `over` laid upon this: maps are merged, everything else is replaced.
    #[must_use]
    pub(crate) fn merge(self, over: Self) -> Self {
        match (self.value, over.value) {
            (Value::Map(mut below), Value::Map(above)) => {
                above.into_iter().for_each(|entry| put(&mut below, entry));
                let origin = if self.origin == Origin::Default { over.origin } else { self.origin };
                Self { value: Value::Map(below), origin }
            }
            (_, value) => Self { value, origin: over.origin },
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Takes away the value at `path`; tells whether there was one. Items of a
    /// list keep their numbers: one that can't be read takes the list away.
    pub(crate) fn blank(&mut self, path: &[Step]) -> bool {
        match (path, &mut self.value) {
            ([Step::Key(key), Step::Index(_)] | [Step::Key(key)], Value::Map(entries)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                entries.len() < before
            }
            ([Step::Key(key), rest @ ..], Value::Map(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).is_some_and(|entry| entry.node.blank(rest))
            }
            ([Step::Index(index), rest @ ..], Value::List(items)) => {
                items.get_mut(*index).is_some_and(|item| item.blank(rest))
            }
            _ => false,
        }
    }

    /// Where the value at `path` was written: its key's place, else that of
    /// the nearest key above it that was written.
    pub(crate) fn origin_of(&self, path: &[Step]) -> Origin {
        let mut origin = Origin::Default;
        let mut node = self;
        for step in path {
            node = match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => match entries.iter().find(|entry| entry.key == *key) {
                    Some(entry) => {
                        origin = entry.origin.clone();
                        &entry.node
                    }
                    None => return origin,
                },
                (Step::Index(index), Value::List(items)) => match items.get(*index) {
                    Some(item) => {
                        origin = item.origin.clone();
                        item
                    }
                    None => return origin,
                },
                _ => return origin,
            };
        }
        origin
    }
}

impl From<serde_json::Value> for Node {
    /// A default, as the types write it.
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let scalar = |text: String, read| Value::Scalar { text, read };
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(flag) => scalar(flag.to_string(), Scalar::Bool(flag)),
            Json::Number(number) => {
                let read = number.as_i64().map(Scalar::Int).or_else(|| number.as_f64().map(Scalar::Float));
                scalar(number.to_string(), read.unwrap_or(Scalar::Text))
            }
            Json::String(text) => scalar(text, Scalar::Text),
            Json::Array(items) => Value::List(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry { key, origin: Origin::Default, node: value.into() })
                    .collect(),
            ),
        };
        Self { value, origin: Origin::Default }
    }
}

fn put(entries: &mut Vec<Entry>, new: Entry) {
    match entries.iter_mut().find(|entry| entry.key == new.key) {
        None => entries.push(new),
        Some(old) => {
            let below = std::mem::replace(&mut old.node, Node::empty());
            let both_maps = matches!((&below.value, &new.node.value), (Value::Map(_), Value::Map(_)));
            if !both_maps || old.origin == Origin::Default {
                old.origin = new.origin;
            }
            old.node = below.merge(new.node);
        }
    }
}

/// The steps as people write them: `agents.scopes."/agent".publish[0]`.
pub(crate) fn key_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                match handbell_protocol::is_segment(key) {
                    true => text.push_str(key),
                    false => text.push_str(&format!("{key:?}")),
                }
            }
        }
    }
    text
}

/// The steps of a dotted key without quotes, as the code names keys.
pub(crate) fn steps(key: &str) -> Vec<Step> {
    key.split('.').map(|part| Step::Key(part.into())).collect()
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Env(name) => f.write_str(name),
            Self::Set(key) => write!(f, "--set {key}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
