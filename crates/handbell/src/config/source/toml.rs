//! TOML with the line of every value.

use std::sync::Arc;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::{
    node::{Entry, Node, Origin, Scalar, Value},
    problem::Problem,
};

/// Reads a TOML document.
pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Node, Problem> {
    let place = |at: usize| Origin::File { file: file.clone(), line: line_of(text, at) };
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Problem::file(file, Some(line), format!("this is no TOML: {}", error.message()), "mend the syntax")
    })?;
    Ok(Node { value: map(table.get_ref(), &place), origin: place(0) })
}

/// One TOML value, if the text is one; strings keep no quotes.
pub(super) fn read_value(text: &str, origin: &Origin) -> Option<Node> {
    let parsed = DeValue::parse(text).ok()?;
    let place = |_| origin.clone();
    Some(node(&parsed, &place))
}

/// The parts of a dotted TOML key, unquoted.
pub(super) fn read_key(text: &str) -> Option<Vec<String>> {
    let document = format!("{text}=0");
    let table = DeTable::parse(&document).ok()?;
    let mut parts = Vec::new();
    let mut table = table.get_ref();
    loop {
        let (key, value) = table.iter().next().filter(|_| table.len() == 1)?;
        parts.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(parts),
        }
    }
}

type Place<'a> = &'a dyn Fn(usize) -> Origin;

fn map(table: &DeTable<'_>, place: Place<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        origin: place(key.span().start),
        node: node(value, place),
    });
    Value::Map(entries.collect())
}

fn node(value: &Spanned<DeValue<'_>>, place: Place<'_>) -> Node {
    let origin = place(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Scalar { text: text.to_string(), read: Scalar::Text },
        DeValue::Boolean(flag) => Value::Scalar { text: flag.to_string(), read: Scalar::Bool(*flag) },
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            Value::Scalar { text: number.as_str().into(), read: read.map_or(Scalar::Text, Scalar::Int) }
        }
        DeValue::Float(number) => {
            let read = number.as_str().parse();
            Value::Scalar { text: number.as_str().into(), read: read.map_or(Scalar::Text, Scalar::Float) }
        }
        DeValue::Datetime(when) => Value::Scalar { text: when.to_string(), read: Scalar::Text },
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, place)).collect()),
        DeValue::Table(table) => map(table, place),
    };
    Node { value, origin }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
