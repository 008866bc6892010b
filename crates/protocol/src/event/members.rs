//! Reading the members of `event` and `routing` as agents write them, older
//! agents' names included.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{EventTime, Kind, Priority, Scalar, Target, draft::Destination, id};
use crate::{
    cloudevents::is_reserved,
    code::{Code, Refusal},
    name::Topic,
};

/// At most so many members of `event` beyond the envelope's own.
const MAX_EXTENSIONS: usize = 16;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct EventDraft {
    pub(super) id: Option<String>,
    pub(super) event_type: String,
    pub(super) source: Option<String>,
    pub(super) timestamp: Option<EventTime>,
    pub(super) version: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) causation_id: Option<String>,
    pub(super) kind: Option<Kind>,
    pub(super) priority: Option<Priority>,
    pub(super) requires_response: bool,
    pub(super) callback_id: Option<String>,
    pub(super) extensions: BTreeMap<String, Scalar>,
}

impl EventDraft {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.event_type.is_empty() {
            return Err(Refusal::envelope(
                "event.type is missing or empty; name what happened, like TaskCompletedEvent",
            ));
        }
        let given = [
            ("type", Some(&self.event_type)),
            ("id", self.id.as_ref()),
            ("version", self.version.as_ref()),
            ("correlation_id", self.correlation_id.as_ref()),
            ("causation_id", self.causation_id.as_ref()),
        ];
        for (name, value) in given {
            if value.is_some_and(|value| !id::may_be_given(value)) {
                return Err(Refusal::envelope(format!("event.{name} must be 1 to 255 printable characters")));
            }
        }
        if self.extensions.len() > MAX_EXTENSIONS {
            return Err(Refusal::envelope("event has more than 16 members of its own; put them into payload"));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for EventDraft {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = EventDraft;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EventDraft, A::Error> {
                let mut draft = EventDraft::default();
                let mut seen: Vec<Cow<'de, str>> = Vec::with_capacity(8);
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if seen.contains(&name) {
                        return Err(A::Error::custom(format_args!("{name} stands twice")));
                    }
                    draft.member(&name, &mut map)?;
                    seen.push(name);
                }
                Ok(draft)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl EventDraft {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let at = |error: A::Error| A::Error::custom(format_args!("{name}: {error}"));
        match name {
            "id" => self.id = map.next_value().map_err(at)?,
            "type" => self.event_type = map.next_value::<Option<String>>().map_err(at)?.unwrap_or_default(),
            "source" | "agent_id" => {
                self.either("agent_id", map.next_value().map_err(at)?, |draft| &mut draft.source)?;
            }
            "timestamp" => self.timestamp = map.next_value().map_err(at)?,
            "version" => self.version = map.next_value().map_err(at)?,
            "correlation_id" | "coordination_id" => {
                self.either("coordination_id", map.next_value().map_err(at)?, |draft| &mut draft.correlation_id)?;
            }
            "causation_id" => self.causation_id = map.next_value().map_err(at)?,
            "kind" => self.kind = map.next_value().map_err(at)?,
            "priority" => self.priority = map.next_value::<Option<AnyPriority>>().map_err(at)?.map(|p| p.0),
            "requires_response" => {
                self.requires_response = map.next_value::<Option<bool>>().map_err(at)?.unwrap_or(false);
            }
            "callback_id" => self.callback_id = map.next_value().map_err(at)?,
            other => {
                let value = map.next_value::<Option<Scalar>>().map_err(|_| unfit::<A::Error>(other))?;
                if !is_extension_name(other) {
                    return Err(unfit(other));
                }
                if let Some(value) = value {
                    self.extensions.insert(other.into(), value);
                }
            }
        }
        Ok(())
    }

    /// A member under its own name or `older`, an older agent's name for it:
    /// where both stand, in whichever order, they must say the same.
    fn either<E: serde::de::Error>(
        &mut self,
        older: &str,
        value: Option<String>,
        member: fn(&mut Self) -> &mut Option<String>,
    ) -> Result<(), E> {
        let slot = member(self);
        match (&slot, &value) {
            (Some(have), Some(value)) if have != value => {
                Err(E::custom(format_args!("{older} contradicts the member that it is an older name of")))
            }
            (None, Some(_)) => {
                *slot = value;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn unfit<E: serde::de::Error>(name: &str) -> E {
    E::custom(format_args!(
        "{name:?} is no member of event; further ones are text, number or boolean under names of a-z 0-9, all else belongs into payload"
    ))
}

/// Names that the envelope's own members have on a broker are not for others.
fn is_extension_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && !is_reserved(name)
}

/// A priority by name, or an older agent's integer.
#[derive(Clone, Copy)]
struct AnyPriority(Priority);

impl<'de> Deserialize<'de> for AnyPriority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Number(u64),
            Name(#[serde(borrow)] Cow<'a, str>),
        }
        let rule = "priority must be low, normal, high or critical, or an integer from 0";
        match Either::deserialize(deserializer).map_err(|_| D::Error::custom(rule))? {
            Either::Number(number) => Ok(Self(Priority::from_number(number))),
            Either::Name(name) => Priority::from_name(&name).map(Self).ok_or_else(|| D::Error::custom(rule)),
        }
    }
}

// === members of `routing` ===

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RoutingDraft {
    pub(super) topic: Option<String>,
    pub(super) to: Option<String>,
    pub(super) partition_key: Option<String>,
    #[serde(deserialize_with = "any_priority")]
    pub(super) priority: Option<Priority>,
}

fn any_priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Priority>, D::Error> {
    Ok(Option::<AnyPriority>::deserialize(deserializer)?.map(|priority| priority.0))
}

impl RoutingDraft {
    pub(super) fn destination(&self) -> Result<Destination, Refusal> {
        if self.partition_key.as_ref().is_some_and(|key| !id::may_be_given(key)) {
            return Err(Refusal::envelope("routing.partition_key must be 1 to 255 printable characters"));
        }
        match (&self.topic, &self.to) {
            (Some(topic), None) => {
                let topic = Topic::parse(topic).map_err(|bad| Refusal::envelope(format!("routing.topic: {bad}")))?;
                if topic.is_reserved() {
                    return Err(Refusal::new(
                        Code::ForbiddenTopic,
                        format!(
                            "topic {topic} is reserved for Handbell itself; choose one whose first segment isn't handbell"
                        ),
                    ));
                }
                Ok(Destination::Topic(topic))
            }
            (None, Some(to)) => {
                Target::parse(to).map(Destination::To).map_err(|bad| Refusal::envelope(bad.to_string()))
            }
            (Some(_), Some(_)) => Err(Refusal::envelope("routing has both topic and to; keep one")),
            (None, None) => {
                Err(Refusal::envelope("routing needs topic, like \"project.tasks\", or to, like \"/agent\""))
            }
        }
    }
}

pub(super) fn read<'a, T: Deserialize<'a>>(what: &str, raw: &'a RawValue) -> Result<T, Refusal> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or(&text);
        Refusal::envelope(format!("{what}: {text}"))
    })
}
