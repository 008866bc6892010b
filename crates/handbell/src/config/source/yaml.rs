//! YAML, event by event, so that every value keeps its line.

use std::{collections::HashMap, sync::Arc};

use yaml_rust2::{
    Event,
    parser::{MarkedEventReceiver, Parser},
    scanner::{Marker, TScalarStyle},
};

use crate::config::{
    node::{Entry, Node, Origin, Scalar, Value},
    problem::Problem,
};

/// At most so many values come out of aliases: a few lines of aliases of
/// aliases would be more than there is memory.
const MAX_ALIASED: usize = 100_000;

/// Reads one YAML document whose top is a map; an empty one is an empty map.
pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Node, Problem> {
    let mut builder = Builder { file: file.clone(), ..Builder::default() };
    Parser::new_from_str(text).load(&mut builder, true).map_err(|error| {
        let line = error.marker().line().min(text.lines().count().max(1));
        Problem::file(file, Some(line), format!("this is no YAML: {}", error.info()), "mend the syntax")
    })?;
    builder.finish()
}

/// Open collections, and the finished document.
#[derive(Default)]
struct Builder {
    file: Arc<str>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    done: Option<Node>,
    problem: Option<Problem>,
}

struct Open {
    node: Node,
    anchor: usize,
    key: Option<(String, Origin)>,
}

impl Builder {
    fn finish(self) -> Result<Node, Problem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let node = self.done.unwrap_or_else(Node::empty);
        match node.value {
            Value::Map(_) => Ok(node),
            Value::Null => Ok(Node::empty()),
            _ => Err(Problem::file(
                &self.file,
                Some(1),
                "the configuration is not a map of keys",
                "write keys and values, like version: 1",
            )),
        }
    }

    fn at(&self, mark: Marker) -> Origin {
        Origin::File { file: self.file.clone(), line: mark.line() }
    }

    fn refuse(&mut self, mark: Marker, what: String, how: &str) {
        let file = self.file.clone();
        self.problem.get_or_insert_with(|| Problem::file(&file, Some(mark.line()), what, how));
    }

    fn begin(&mut self, value: Value, anchor: usize, mark: Marker) {
        let node = Node { value, origin: self.at(mark) };
        self.open.push(Open { node, anchor, key: None });
    }

    fn end(&mut self, mark: Marker) {
        if let Some(Open { node, anchor, .. }) = self.open.pop() {
            self.add(node, anchor, mark);
        }
    }

    fn alias(&mut self, anchor: usize, mark: Marker) {
        let Some(node) = self.anchors.get(&anchor) else {
            return self.refuse(mark, "an alias has no anchor".into(), "write the value itself");
        };
        self.aliased = self.aliased.saturating_add(values(node));
        if self.aliased > MAX_ALIASED {
            return self.refuse(mark, "the aliases stand for too many values".into(), "write the values themselves");
        }
        self.add(node.clone(), 0, mark);
    }

    /// A finished value takes its place: as key, as value, as item, or as the whole.
    fn add(&mut self, node: Node, anchor: usize, mark: Marker) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if self.done.replace(node).is_some() {
                self.refuse(mark, "there is a second document".into(), "write one document in one file");
            }
            return;
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some((key, origin))) => {
                let doubled = entries.iter().any(|entry| entry.key == key);
                if doubled {
                    let what = format!("the key {key} is written twice");
                    return self.refuse(mark, what, "remove one of the two");
                }
                entries.push(Entry { key, origin, node });
            }
            (_, None) => match node.value {
                Value::Scalar { text, .. } => open.key = Some((text, node.origin)),
                _ => self.refuse(mark, "a key is not text".into(), "write keys as text"),
            },
            _ => {}
        }
    }
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = Node { value: scalar(text, style), origin: self.at(mark) };
                self.add(node, anchor, mark);
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::List(Vec::new()), anchor, mark),
            Event::MappingStart(anchor, _) => self.begin(Value::Map(Vec::new()), anchor, mark),
            Event::SequenceEnd | Event::MappingEnd => self.end(mark),
            Event::Alias(anchor) => self.alias(anchor, mark),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}

/// How many values a value is made of.
fn values(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(values).sum(),
        Value::Map(entries) => entries.iter().map(|entry| values(&entry.node)).sum(),
        Value::Null | Value::Scalar { .. } => 0,
    }
}

/// YAML's core schema; anything in quotes is text.
fn scalar(text: String, style: TScalarStyle) -> Value {
    if style != TScalarStyle::Plain {
        return Value::Scalar { text, read: Scalar::Text };
    }
    let read = match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        number => number.parse().map(Scalar::Int).ok().or_else(|| float(number)).unwrap_or(Scalar::Text),
    };
    Value::Scalar { text, read }
}

fn float(text: &str) -> Option<Scalar> {
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    if numeric { text.parse().ok().map(Scalar::Float) } else { None }
}
