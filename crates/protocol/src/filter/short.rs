//! The short form: `key=value`, joined by `,`.

use super::{BadFilter, Verdict, fields, payload};
use crate::event::{Envelope, same_type};

/// All clauses must hold.
pub(super) struct Short(Vec<Clause>);

struct Clause {
    key: Key,
    value: Box<str>,
}

/// Where a clause looks.
enum Key {
    /// `type`, `event.type`: `X` is `XEvent` too.
    Type,
    /// `event.NAME`.
    Event(Box<str>),
    /// `routing.NAME`.
    Routing(Box<str>),
    /// `payload.NAME…`.
    Payload(Box<[Box<str>]>),
    /// `NAME`: in `event`, then `routing`, then the payload's top level.
    Bare([Box<str>; 1]),
}

impl Short {
    /// Reads `text` if all of it is in the short form; `None` if it isn't.
    ///
    /// # Errors
    /// When it is in the short form and names what no event can have.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, BadFilter> {
        let mut column = 1;
        let mut clauses = Vec::new();
        for part in text.split(',') {
            let Some((key, value)) = split(part) else { return Ok(None) };
            clauses.push((column + leading_blanks(part), key, value));
            column += part.chars().count() + 1;
        }
        clauses
            .into_iter()
            .map(|(column, key, value)| Clause::new(column, key, value))
            .collect::<Result<_, _>>()
            .map(|clauses| Some(Self(clauses)))
    }

    /// Asks about one event. Clauses that the envelope decides come first, so
    /// that the payload is read only if they hold.
    pub(super) fn matches(&self, envelope: &Envelope) -> Verdict {
        let mut missing = false;
        let mut open = false;
        for clause in &self.0 {
            match clause.in_envelope(envelope) {
                Some(true) => {}
                Some(false) => return Verdict::NoMatch,
                None if clause.path().is_some() => open = true,
                None => missing = true,
            }
        }
        if open {
            for clause in self.0.iter().filter(|clause| clause.in_envelope(envelope).is_none()) {
                match clause.in_payload(envelope) {
                    Some(true) => {}
                    Some(false) => return Verdict::NoMatch,
                    None => missing = true,
                }
            }
        }
        if missing { Verdict::Failed } else { Verdict::Match }
    }
}

impl Clause {
    fn new(column: usize, key: &str, value: &str) -> Result<Self, BadFilter> {
        let value = value.into();
        let bad = |reason: String| Err(BadFilter::new(column, reason));
        let key = match key.split_once('.') {
            None if key == "type" => Key::Type,
            None => Key::Bare([key.into()]),
            Some(("event", "type")) => Key::Type,
            Some(("event", name)) if name.contains('.') => {
                return bad(format!("{key}: members of event have no members; nested data is in payload"));
            }
            Some(("event", name)) => Key::Event(name.into()),
            Some(("routing", name)) if fields::ROUTING.contains(&name) => Key::Routing(name.into()),
            Some(("routing", _)) => {
                return bad(format!("{key} is unknown; routing has {}", fields::ROUTING.join(", ")));
            }
            Some(("payload", path)) => Key::Payload(path.split('.').map(Into::into).collect()),
            Some(_) => return bad(format!("{key}: begin a dotted path with event., routing. or payload.")),
        };
        Ok(Self { key, value })
    }

    /// Whether it holds, as far as `event` and `routing` tell; `None` where
    /// they lack the field.
    fn in_envelope(&self, envelope: &Envelope) -> Option<bool> {
        let Envelope { event, routing, .. } = envelope;
        let field = match &self.key {
            Key::Type => return Some(same_type(&event.event_type, &self.value)),
            Key::Event(name) => fields::of_event(event, name),
            Key::Routing(name) => fields::of_routing(routing, name),
            Key::Payload(_) => None,
            Key::Bare([name]) => fields::of_event(event, name).or_else(|| fields::of_routing(routing, name)),
        };
        field.map(|field| field == *self.value)
    }

    /// Whether it holds, as the payload tells; `None` where it lacks the field.
    fn in_payload(&self, envelope: &Envelope) -> Option<bool> {
        let found = payload::find(envelope.payload.as_str(), self.path()?)?;
        Some(payload::text(found).is_some_and(|text| text == *self.value))
    }

    fn path(&self) -> Option<&[Box<str>]> {
        match &self.key {
            Key::Payload(path) => Some(path),
            Key::Bare(name) => Some(name),
            Key::Type | Key::Event(_) | Key::Routing(_) => None,
        }
    }
}

/// `key=value` without the blanks around either; `None` for anything else.
fn split(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let is_cel = value.starts_with('=')
        || value.contains(['"', '\''])
        || ["==", "&&", "||"].iter().any(|operator| value.contains(operator));
    (is_key(key) && !value.is_empty() && !is_cel).then_some((key, value))
}

/// Identifiers joined by `.`.
fn is_key(text: &str) -> bool {
    text.split('.').all(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })
}

fn leading_blanks(text: &str) -> usize {
    text.chars().take_while(|c| c.is_whitespace()).count()
}
