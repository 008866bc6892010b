//! Members of `event` and `routing` as the text that filters compare.

use std::borrow::Cow;

use crate::event::{Event, Routing, Scalar};

/// The members that `routing` can have.
pub(super) const ROUTING: [&str; 5] = ["topic", "to", "partition_key", "priority", "hops"];

/// A member of `event`; the kind is there even where only the type tells it.
pub(super) fn of_event<'a>(event: &'a Event, name: &str) -> Option<Cow<'a, str>> {
    Some(Cow::Borrowed(match name {
        "id" => &event.id,
        "type" => &event.event_type,
        "source" => &event.source,
        "timestamp" => return Some(Cow::Owned(event.timestamp.to_string())),
        "version" => &event.version,
        "correlation_id" => &event.correlation_id,
        "causation_id" => event.causation_id.as_deref()?,
        "kind" => event.kind().as_str(),
        other => match event.extensions.get(other)? {
            Scalar::Text(text) => text,
            scalar => return Some(Cow::Owned(scalar.to_string())),
        },
    }))
}

/// A member of `routing`; the hops are there even where there were none.
pub(super) fn of_routing<'a>(routing: &'a Routing, name: &str) -> Option<Cow<'a, str>> {
    Some(match name {
        "topic" => Cow::Borrowed(routing.topic.as_ref()?.as_str()),
        "to" => Cow::Owned(routing.to.as_ref()?.to_string()),
        "partition_key" => Cow::Borrowed(routing.partition_key.as_deref()?),
        "priority" => Cow::Borrowed(routing.priority.as_str()),
        "hops" => Cow::Owned(routing.hops.to_string()),
        _ => return None,
    })
}
