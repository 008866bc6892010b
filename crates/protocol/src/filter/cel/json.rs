//! JSON as values of CEL, read in one pass and measured on the way.

use std::{collections::HashMap, fmt, sync::Arc};

use cel::{
    Value,
    objects::{Key, Map},
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::values::{PAYLOAD, Sizes};

pub(super) fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

pub(super) fn map(members: HashMap<Key, Value>) -> Value {
    Value::Map(Map { map: Arc::new(members) })
}

/// How large a value is.
#[derive(Default)]
pub(super) struct Size {
    pub(super) values: u64,
    pub(super) bytes: u64,
}

impl Size {
    pub(super) fn text(&mut self, text: &str) {
        self.values += 1;
        self.bytes += text.len() as u64;
    }

    pub(super) fn steps(&self) -> u64 {
        self.values + self.bytes / 16
    }
}

/// Reads an object's members of these names, and skips the others.
pub(super) struct Members<'a> {
    pub(super) names: &'a [Box<str>],
    pub(super) sizes: &'a mut Sizes,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = HashMap::with_capacity(self.names.len());
        while let Some(name) = access.next_key::<String>()? {
            let Some(index) = self.names.iter().position(|wanted| **wanted == *name) else {
                access.next_value::<IgnoredAny>()?;
                continue;
            };
            let mut size = Size::default();
            let value = access.next_value_seed(Whole(&mut size))?;
            self.sizes.values += size.values;
            self.sizes.data[PAYLOAD + index] += size.steps();
            members.insert(Key::from(name), value);
        }
        Ok(map(members))
    }
}

/// Reads any value.
pub(super) struct Whole<'a>(pub(super) &'a mut Size);

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.values += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if value.is_finite() { Ok(Value::Float(value)) } else { Err(E::custom("beyond double")) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        self.0.bytes += value.len() as u64;
        Ok(text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(Whole(&mut *self.0))? {
            list.push(value);
        }
        Ok(Value::List(Arc::new(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = HashMap::new();
        while let Some(name) = access.next_key::<String>()? {
            self.0.bytes += name.len() as u64;
            let value = access.next_value_seed(Whole(&mut *self.0))?;
            members.insert(Key::from(name), value);
        }
        Ok(map(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(json: &str) -> (Value, Size) {
        let mut size = Size::default();
        let value = Whole(&mut size).deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap();
        (value, size)
    }

    #[test]
    fn whole_numbers_are_int_then_uint_and_others_double() {
        for (json, expected) in [
            ("1", Value::Int(1)),
            ("-1", Value::Int(-1)),
            ("9223372036854775808", Value::UInt(1 << 63)),
            ("1.0", Value::Float(1.0)),
            ("1e2", Value::Float(100.0)),
        ] {
            assert_eq!(whole(json).0, expected, "{json}");
        }
    }

    #[test]
    fn every_value_and_every_byte_of_text_is_counted() {
        let (_, size) = whole(r#"{"abc":[1,"xyz",null],"d":{}}"#);
        assert_eq!((size.values, size.bytes), (6, 7));
    }

    #[test]
    fn members_that_are_not_mentioned_are_not_converted() {
        let names = ["a".into()];
        let mut sizes = Sizes { values: 0, data: vec![0; 3] };
        let mut reader = serde_json::Deserializer::from_str(r#"{"b":1e999,"a":[1,2]}"#);
        let value = Members { names: &names, sizes: &mut sizes }.deserialize(&mut reader).unwrap();
        let Value::Map(map) = value else { panic!("no map") };
        assert_eq!(map.map.len(), 1);
        assert_eq!(sizes, Sizes { values: 3, data: vec![0, 0, 3] });
    }
}
