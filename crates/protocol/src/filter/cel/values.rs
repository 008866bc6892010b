//! Events as values of CEL, as far as an expression mentions them.

use std::collections::HashMap;

use cel::{Value, objects::Key};
use serde::de::DeserializeSeed;

use super::{
    super::fields,
    json::{Members, Size, Whole, map, text},
};
use crate::event::{Envelope, Event, Routing, Scalar};

/// The index of `event` in [`Sizes::data`].
pub(super) const EVENT: usize = 0;
/// The index of `routing` in [`Sizes::data`].
pub(super) const ROUTING: usize = 1;
/// The index of the whole payload, or of its first member, in [`Sizes::data`].
pub(super) const PAYLOAD: usize = 2;

/// What of an event an expression mentions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Projection {
    pub(super) event: bool,
    pub(super) routing: bool,
    pub(super) payload: Part,
}

/// What of a payload an expression mentions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing.
    #[default]
    None,
    /// Only these members of its top level.
    Members(Vec<Box<str>>),
    /// All of it.
    Whole,
}

/// The variables of one evaluation, and how large they are.
pub(super) struct Values {
    pub(super) variables: Vec<(&'static str, Value)>,
    pub(super) sizes: Sizes,
}

/// Sizes in steps: one for each value and each 16 bytes of text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// How many values of the payload were converted.
    pub(super) values: u64,
    /// `event`, `routing`, then the payload or its members.
    pub(super) data: Vec<u64>,
}

impl Projection {
    /// Converts what is mentioned; `None` where the payload can't be
    /// converted, such as one with a number beyond `double`.
    pub(super) fn convert(&self, envelope: &Envelope) -> Option<Values> {
        let mut variables = Vec::with_capacity(3);
        let mut sizes = Sizes { values: 0, data: vec![0; PAYLOAD + 1] };
        if self.event {
            let (value, size) = event(&envelope.event);
            variables.push(("event", value));
            sizes.data[EVENT] = size;
        }
        if self.routing {
            let (value, size) = routing(&envelope.routing);
            variables.push(("routing", value));
            sizes.data[ROUTING] = size;
        }
        if self.payload != Part::None {
            let mut reader = serde_json::Deserializer::from_str(envelope.payload.as_str());
            let value = match &self.payload {
                Part::Members(names) => {
                    sizes.data.resize(PAYLOAD + names.len(), 0);
                    Members { names, sizes: &mut sizes }.deserialize(&mut reader).ok()?
                }
                Part::None | Part::Whole => {
                    let mut size = Size::default();
                    let value = Whole(&mut size).deserialize(&mut reader).ok()?;
                    sizes.values = size.values;
                    sizes.data[PAYLOAD] = size.steps();
                    value
                }
            };
            variables.push(("payload", value));
        }
        Some(Values { variables, sizes })
    }
}

fn event(event: &Event) -> (Value, u64) {
    let mut size = Size::default();
    let mut members = HashMap::with_capacity(8 + event.extensions.len());
    for name in ["id", "type", "source", "timestamp", "version", "correlation_id", "causation_id", "kind"] {
        if let Some(value) = fields::of_event(event, name) {
            size.text(&value);
            members.insert(Key::from(name), text(&value));
        }
    }
    for (name, scalar) in &event.extensions {
        let value = match scalar {
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Number(number) => of_number(number),
            Scalar::Text(value) => {
                size.text(value);
                text(value)
            }
        };
        size.values += 1;
        members.insert(Key::from(name.as_str()), value);
    }
    (map(members), size.steps())
}

fn routing(routing: &Routing) -> (Value, u64) {
    let mut size = Size::default();
    let mut members = HashMap::with_capacity(fields::ROUTING.len());
    for name in fields::ROUTING {
        if let Some(value) = fields::of_routing(routing, name) {
            size.text(&value);
            let value = if name == "hops" { Value::Int(routing.hops.into()) } else { text(&value) };
            members.insert(Key::from(name), value);
        }
    }
    (map(members), size.steps())
}

fn of_number(number: &serde_json::Number) -> Value {
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => Value::Int(int),
        (None, Some(uint)) => Value::UInt(uint),
        (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}
