//! An envelope as the headers of a message; its body is the payload's bytes.

use super::{
    names::{SCALARS, Style, is_attribute, is_reserved},
    percent,
};
use crate::event::{Envelope, Event, Routing, Scalar};

/// The headers of the message that carries `envelope`. The body is
/// `envelope.payload.as_bytes()`, as it is.
///
/// A further member of `event` whose name no attribute can have, or that is
/// one of the envelope's own, is left out; drafts never have one.
#[must_use]
pub fn to_headers(envelope: &Envelope, style: Style) -> Vec<(String, String)> {
    let Envelope { event, routing, .. } = envelope;
    let mut headers = Headers { style, list: Vec::with_capacity(12 + event.extensions.len()) };
    headers.event(event);
    headers.routing(routing);
    headers.extensions(event);
    headers.list
}

struct Headers {
    style: Style,
    list: Vec<(String, String)>,
}

impl Headers {
    fn event(&mut self, event: &Event) {
        self.add("specversion", "1.0");
        self.add("id", &event.id);
        self.add("type", &event.event_type);
        self.add("source", &event.source);
        self.add("time", &event.timestamp.to_string());
        self.list.push((self.style.content_type().into(), "application/json".into()));
        self.add("eventversion", &event.version);
        self.add("correlationid", &event.correlation_id);
        self.add_if("causationid", event.causation_id.as_deref());
        self.add_if("kind", event.kind.map(crate::event::Kind::as_str));
    }

    fn routing(&mut self, routing: &Routing) {
        self.add("priority", routing.priority.as_str());
        self.add_if("partitionkey", routing.partition_key.as_deref());
        self.add_if("to", routing.to.as_ref().map(ToString::to_string).as_deref());
        self.add_if("hops", (routing.hops > 0).then(|| routing.hops.to_string()).as_deref());
    }

    fn extensions(&mut self, event: &Event) {
        let mut scalars = Vec::new();
        for (name, value) in &event.extensions {
            if !is_attribute(name) || is_reserved(name) {
                continue;
            }
            match value {
                Scalar::Text(text) => self.add(name, text),
                Scalar::Bool(_) | Scalar::Number(_) => {
                    self.add(name, &value.to_string());
                    scalars.push(name.as_str());
                }
            }
        }
        if !scalars.is_empty() {
            self.list.push((SCALARS.into(), scalars.join(",")));
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        let value = match self.style {
            Style::Kafka => value.to_owned(),
            Style::Nats => percent::encode(value),
        };
        self.list.push((format!("{}{name}", self.style.prefix()), value));
    }

    fn add_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}
