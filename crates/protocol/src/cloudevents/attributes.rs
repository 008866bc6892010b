//! A message's attributes, from wherever they were read, and the event that
//! they make.

use std::collections::BTreeMap;

use super::{
    FALLBACK_TYPE, Origin, Unreadable,
    names::{is_attribute, is_reserved},
};
use crate::{
    event::{Envelope, Event, EventTime, Kind, Priority, Routing, Scalar, Target, id::may_be_given},
    json::Json,
};

/// Attributes by name; of one that stands twice, the last.
#[derive(Debug, Default)]
pub(super) struct Attributes(BTreeMap<String, Scalar>);

impl Attributes {
    pub(super) fn insert(&mut self, name: &str, value: Scalar) {
        self.0.insert(name.to_ascii_lowercase(), value);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An attribute as text, whatever its JSON type.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        Some(match self.0.remove(name)? {
            Scalar::Text(text) => text,
            scalar => scalar.to_string(),
        })
    }

    /// An attribute that an agent could have given, too: 1–255 printable
    /// characters. Any other counts as absent.
    fn take_fit(&mut self, name: &str) -> Option<String> {
        self.take(name).filter(|text| may_be_given(text))
    }

    /// Makes the event. `foreign_type` is the media type of a payload that
    /// was no JSON.
    pub(super) fn into_envelope(
        mut self,
        payload: Json,
        foreign_type: Option<String>,
        origin: &Origin<'_>,
    ) -> Result<Envelope, Unreadable> {
        if let Some(foreign_type) = foreign_type {
            self.insert("contenttype", Scalar::Text(foreign_type));
        }
        let routing = self.routing(origin)?;
        Ok(Envelope { event: self.event(origin), payload, routing })
    }

    fn routing(&mut self, origin: &Origin<'_>) -> Result<Routing, Unreadable> {
        let to = self.take("to").and_then(|to| Target::parse(&to).ok());
        let (topic, to) = match (origin.topic, to) {
            (Some(topic), _) => (Some(topic.clone()), None),
            (None, Some(to)) => (None, Some(to)),
            (None, None) => return Err(Unreadable::NoDestination),
        };
        let key = || origin.partition_key.filter(|key| may_be_given(key)).map(str::to_owned);
        Ok(Routing {
            topic,
            to,
            partition_key: self.take_fit("partitionkey").or_else(key),
            priority: self.take("priority").as_deref().and_then(priority).unwrap_or_default(),
            hops: self.take("hops").and_then(|hops| hops.parse().ok()).unwrap_or_default(),
        })
    }

    /// Takes the event's own members, `version` and `timestamp` as other
    /// producers name them included; what is left are further members.
    fn event(mut self, origin: &Origin<'_>) -> Event {
        let id = self.take_fit("id").unwrap_or_else(|| origin.id.to_owned());
        let named = [self.take("time"), self.take("timestamp")];
        let versions = [self.take_fit("eventversion"), self.take_fit("version")];
        Event {
            event_type: self.take_fit("type").unwrap_or_else(|| FALLBACK_TYPE.to_owned()),
            source: self.take_fit("source").unwrap_or_else(|| origin.source.to_owned()),
            timestamp: named
                .into_iter()
                .flatten()
                .find_map(|text| EventTime::parse(&text).ok())
                .unwrap_or_else(|| origin.at.into()),
            version: versions.into_iter().flatten().next().unwrap_or_else(|| "1.0".to_owned()),
            correlation_id: self.take_fit("correlationid").unwrap_or_else(|| id.clone()),
            causation_id: self.take_fit("causationid"),
            kind: self.take("kind").as_deref().and_then(Kind::from_name),
            extensions: self.0.into_iter().filter(|(name, _)| is_attribute(name) && !is_reserved(name)).collect(),
            id,
        }
    }
}

fn priority(text: &str) -> Option<Priority> {
    Priority::from_name(text).or_else(|| text.parse().ok().map(Priority::from_number))
}

/// The scalar that a text stands for, where its writer says that it is a
/// number or a boolean.
pub(super) fn scalar(text: String) -> Scalar {
    match text.parse() {
        Ok(value) => Scalar::Bool(value),
        Err(_) => number(&text).map_or(Scalar::Text(text), Scalar::Number),
    }
}

/// Exact for what `Number` itself has written: its own reader may be off by
/// one in the last place.
fn number(text: &str) -> Option<serde_json::Number> {
    let whole = text.parse::<i64>().map(Into::into).or_else(|_| text.parse::<u64>().map(Into::into));
    whole.ok().or_else(|| serde_json::Number::from_f64(text.parse().ok()?))
}
