//! From the tree to types: a deserializer whose errors know the key and the
//! place of the value that was wrong, and what would be right.

use std::{fmt, fmt::Write as _};

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess,
        Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{
    node::{Entry, Node, Origin, Scalar, Step, Value},
    problem::{Problem, did_you_mean, place},
};

/// Reads `node` as a `T`.
pub(crate) fn read<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Problem> {
    read_at(node).map_err(|(problem, _)| problem)
}

/// Reads `node` as a `T`; tells also at which path it can't be read.
pub(super) fn read_at<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, (Problem, Vec<Step>)> {
    T::deserialize(Reader(node)).map_err(|fault| {
        let path = fault.path.iter().rev().cloned().collect();
        (fault.into_problem(), path)
    })
}

/// What is wrong, and on the way out: where.
#[derive(Debug)]
struct Fault {
    what: String,
    how: Option<String>,
    /// From the innermost step outwards.
    path: Vec<Step>,
    origin: Option<Origin>,
}

impl Fault {
    fn new(what: String, how: Option<String>) -> Self {
        Self { what, how, path: Vec::new(), origin: None }
    }

    fn inside(mut self, step: Step, origin: &Origin) -> Self {
        self.path.push(step);
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    fn into_problem(mut self) -> Problem {
        self.path.reverse();
        Problem {
            what: self.what,
            place: place(&self.origin.unwrap_or(Origin::Default), &self.path),
            how: self.how.unwrap_or_else(|| "see docs/configuration.md, or handbell config schema".into()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    /// A message may carry its remedy behind a `;`.
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        match message.split_once("; ") {
            Some((what, how)) => Self::new(what.into(), Some(how.into())),
            None => Self::new(message, None),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "nothing".into(),
            Unexpected::Map => "a map".into(),
            Unexpected::Seq => "a list".into(),
            Unexpected::Str(text) => format!("the text {text:?}"),
            other => other.to_string(),
        };
        let wanted = wanted(&expected.to_string());
        Self::new(format!("here stands {found}, wanted is {wanted}"), Some(format!("write {wanted}")))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let wanted = wanted(&expected.to_string());
        Self::new(format!("{found} is out of bounds"), Some(format!("write {wanted}")))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        unknown(&format!("unknown key {field}"), field, known, "keys")
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        unknown(&format!("unknown value {variant:?}"), variant, known, "values")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key {field} is missing"), Some(format!("write {field} as well")))
    }
}

fn unknown(what: &str, given: &str, known: &[&str], kind: &str) -> Fault {
    let mut how = did_you_mean(given, known).map(|guess| guess + " ").unwrap_or_default();
    match known {
        [] => how.push_str("remove it"),
        _ => drop(write!(how, "the {kind} here are {}", known.join(", "))),
    }
    Fault::new(what.into(), Some(how))
}

/// Rust's name of a type in words.
fn wanted(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" | "bool" => "true or false".into(),
        "a string" => "text".into(),
        "a sequence" => "a list".into(),
        other if other.starts_with("struct ") => "a map of keys".into(),
        other => other.to_owned(),
    }
}

struct Reader<'de>(&'de Node);

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Scalar { text, read } => match read {
                Scalar::Bool(value) => visitor.visit_bool(*value),
                Scalar::Int(value) => match u64::try_from(*value) {
                    Ok(value) => visitor.visit_u64(value),
                    Err(_) => visitor.visit_i64(*value),
                },
                Scalar::Float(value) => visitor.visit_f64(*value),
                Scalar::Text => visitor.visit_borrowed_str(text),
            },
            Value::List(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
    }

    /// Text is taken as it was written, whatever else it might be.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Scalar { text, .. } => visitor.visit_enum(Name(text)),
            _ => self.deserialize_any(visitor),
        }
    }

    /// `section:` without keys is an empty section.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.value {
            Value::Null => visitor.visit_map(Entries { entries: [].iter(), value: None }),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        seed.deserialize(Reader(node)).map(Some).map_err(|fault| fault.inside(step, &node.origin))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'_, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.inside(Step::Key(entry.key.clone()), &entry.origin))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Reader(&entry.node))
            .map_err(|fault| fault.inside(Step::Key(entry.key.clone()), &entry.node.origin))
    }
}

/// A variant without content.
struct Name<'de>(&'de str);

impl<'de> EnumAccess<'de> for Name<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Name<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fault> {
        Err(de::Error::custom("this value needs more than its name"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom("this value needs more than its name"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom("this value needs more than its name"))
    }
}
