//! An envelope as an agent writes it, and how the sidecar completes it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    Envelope, Event, Kind, Priority, Routing, Target,
    members::{EventDraft, RoutingDraft, read},
};
use crate::{
    code::{Code, Refusal},
    json::Json,
    name::{AgentName, Topic},
    time::Timestamp,
};

/// A checked envelope before it is completed: every member is well formed,
/// what was left out is still missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    event: EventDraft,
    payload: Json,
    destination: Destination,
    partition_key: Option<String>,
    priority: Priority,
}

/// Where a draft goes: `routing.topic` or `routing.to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Published on a topic.
    Topic(Topic),
    /// Direct work.
    To(Target),
}

/// The event that a draft answers, as the sidecar remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its ID.
    pub id: String,
    /// Its correlation ID, which the answer shares.
    pub correlation_id: String,
    /// Its timestamp, whose date stands in the answer's ID.
    pub at: Timestamp,
    /// How many events led to it.
    pub hops: u32,
}

impl Cause {
    /// What an answer to `envelope` needs to know of it.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        Self {
            id: envelope.event.id.clone(),
            correlation_id: envelope.event.correlation_id.clone(),
            at: envelope.event.timestamp.at(),
            hops: envelope.routing.hops,
        }
    }
}

/// What the sidecar fills in.
#[derive(Clone, Debug)]
pub struct Completion<'a> {
    /// The authenticated agent.
    pub source: &'a AgentName,
    /// The ID, unless the agent brought one.
    pub id: String,
    /// The wall clock.
    pub now: Timestamp,
    /// The event that is answered, if any.
    pub cause: Option<&'a Cause>,
}

impl Draft {
    /// Reads the three members of a `publish` or `request` as they stand in
    /// the frame; an absent payload is `null`.
    ///
    /// # Errors
    /// `invalid_envelope` or `forbidden_topic`, with what, where and how to mend it.
    pub fn parse(
        event: Option<&RawValue>,
        payload: Option<&RawValue>,
        routing: Option<&RawValue>,
    ) -> Result<Self, Refusal> {
        let event = event.ok_or_else(|| Refusal::envelope("event is missing; send {\"type\": …} at least"))?;
        let event: EventDraft = read("event", event)?;
        event.check()?;
        let routing: RoutingDraft = match routing {
            Some(routing) => read("routing", routing)?,
            None => RoutingDraft::default(),
        };
        let destination = routing.destination()?;
        let priority = routing.priority.or(event.priority).unwrap_or_default();
        let payload = payload.map_or_else(Json::null, Json::from_raw);
        Ok(Self { event, payload, destination, partition_key: routing.partition_key, priority })
    }

    /// Puts another payload in place of the one that was read.
    pub fn set_payload(&mut self, payload: Json) {
        self.payload = payload;
    }

    /// Where it goes.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The ID that the agent brought, if it did.
    #[must_use]
    pub fn given_id(&self) -> Option<&str> {
        self.event.id.as_deref()
    }

    /// The call that an older agent asks for with `requires_response` and
    /// `callback_id`: such a `publish` is taken as a `request`.
    #[must_use]
    pub fn callback(&self) -> Option<&str> {
        self.event.callback_id.as_deref().filter(|_| self.event.requires_response)
    }

    /// A digest of the content as the agent wrote it, without what the
    /// sidecar fills in: tells a resend from a `seq` used twice.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let event = &self.event;
        let timestamp = event.timestamp.as_ref().map(ToString::to_string).unwrap_or_default();
        let extensions: Vec<_> = event.extensions.iter().map(|(name, value)| (name, value.to_string())).collect();
        let destination = match &self.destination {
            Destination::Topic(topic) => Cow::Borrowed(topic.as_str()),
            Destination::To(target) => Cow::Owned(format!("to {target}")),
        };
        let mut fields: Vec<&[u8]> = Vec::with_capacity(16);
        let optional = [&event.id, &event.correlation_id, &event.causation_id, &event.version, &event.callback_id];
        fields.extend(optional.map(|text| text.as_deref().unwrap_or("\0").as_bytes()));
        fields.push(event.event_type.as_bytes());
        fields.push(timestamp.as_bytes());
        fields.push(event.kind.map_or("", Kind::as_str).as_bytes());
        for (name, value) in &extensions {
            fields.extend([name.as_bytes(), value.as_bytes()]);
        }
        fields.push(destination.as_bytes());
        fields.push(self.partition_key.as_deref().unwrap_or("\0").as_bytes());
        fields.push(self.priority.as_str().as_bytes());
        fields.push(self.payload.as_bytes());
        let digest = crate::digest::of("handbell content v1", &fields);
        u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
    }

    /// Fills in what the agent left out. The chain keeps itself: with a
    /// cause, correlation, causation and hops follow from it.
    ///
    /// # Errors
    /// `forbidden_source` when `source` names somebody else, and
    /// `invalid_envelope` for a `causation_id` that stands alone.
    pub fn complete(self, with: Completion<'_>) -> Result<Envelope, Refusal> {
        let event = self.event;
        if let Some(source) = event.source.filter(|source| source != with.source.as_str()) {
            return Err(Refusal::new(
                Code::ForbiddenSource,
                format!("event.source {source:?} is not this agent, {}; leave it out, it is filled in", with.source),
            ));
        }
        if event.causation_id.is_some() && event.correlation_id.is_none() && with.cause.is_none() {
            return Err(Refusal::envelope(
                "event.causation_id stands without correlation_id; send both, or name the delivery as cause",
            ));
        }
        let id = event.id.unwrap_or(with.id);
        let cause = with.cause;
        let correlation_id = event
            .correlation_id
            .or_else(|| cause.map(|cause| cause.correlation_id.clone()))
            .unwrap_or_else(|| id.clone());
        let (topic, to) = match self.destination {
            Destination::Topic(topic) => (Some(topic), None),
            Destination::To(target) => (None, Some(target)),
        };
        Ok(Envelope {
            event: Event {
                id,
                event_type: event.event_type,
                source: with.source.to_string(),
                timestamp: event.timestamp.unwrap_or_else(|| with.now.into()),
                version: event.version.unwrap_or_else(|| "1.0".into()),
                correlation_id,
                causation_id: event.causation_id.or_else(|| cause.map(|cause| cause.id.clone())),
                kind: event.kind,
                extensions: event.extensions,
            },
            payload: self.payload,
            routing: Routing {
                topic,
                to,
                partition_key: self.partition_key,
                priority: self.priority,
                hops: cause.map_or(0, |cause| cause.hops.saturating_add(1)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.into()).unwrap()
    }

    fn draft(event: &str, routing: &str) -> Result<Draft, Refusal> {
        Draft::parse(Some(&raw(event)), None, Some(&raw(routing)))
    }

    fn complete(event: &str, routing: &str, cause: Option<&Cause>) -> Result<Envelope, Refusal> {
        let agent = AgentName::parse("/a").unwrap();
        let now = Timestamp::from_millis(0);
        draft(event, routing)?.complete(Completion { source: &agent, id: "evt-1".into(), now, cause })
    }

    const TOPIC: &str = r#"{"topic":"t"}"#;

    #[test]
    fn what_is_left_out_is_filled_in() {
        let envelope = complete(r#"{"type":"X"}"#, TOPIC, None).unwrap();
        assert_eq!(
            serde_json::to_string(&envelope).unwrap(),
            r#"{"event":{"id":"evt-1","type":"X","source":"/a","timestamp":"1970-01-01T00:00:00.000Z","version":"1.0","correlation_id":"evt-1"},"payload":null,"routing":{"topic":"t","priority":"normal"}}"#
        );
    }

    #[test]
    fn the_chain_keeps_itself() {
        let cause = Cause { id: "evt-0".into(), correlation_id: "c".into(), at: Timestamp::default(), hops: 2 };
        let envelope = complete(r#"{"type":"X"}"#, TOPIC, Some(&cause)).unwrap();
        assert_eq!(envelope.event.correlation_id, "c");
        assert_eq!(envelope.event.causation_id.as_deref(), Some("evt-0"));
        assert_eq!(envelope.routing.hops, 3);
    }

    #[test]
    fn a_forged_source_is_refused_and_the_agents_own_is_not() {
        let code = complete(r#"{"type":"X","source":"/b"}"#, TOPIC, None).unwrap_err().code;
        assert_eq!(code, Code::ForbiddenSource);
        let code = complete(r#"{"type":"X","agent_id":"/b"}"#, TOPIC, None).unwrap_err().code;
        assert_eq!(code, Code::ForbiddenSource);
        for own in [r#"{"type":"X","source":"/a"}"#, r#"{"type":"X","source":null}"#] {
            assert!(complete(own, TOPIC, None).is_ok());
        }
    }

    #[test]
    fn aliases_of_older_agents_are_understood() {
        let event = r#"{"type":"X","coordination_id":"c","agent_id":"/a","priority":3,"requires_response":true,"callback_id":"k"}"#;
        assert_eq!(draft(event, TOPIC).unwrap().callback(), Some("k"));
        let envelope = complete(event, TOPIC, None).unwrap();
        assert_eq!(envelope.event.correlation_id, "c");
        assert_eq!(envelope.routing.priority, Priority::Critical);
        for contradiction in [
            r#"{"type":"X","correlation_id":"a","coordination_id":"b"}"#,
            r#"{"type":"X","coordination_id":"b","correlation_id":"a"}"#,
            r#"{"type":"X","agent_id":"/b","source":"/a"}"#,
        ] {
            assert!(draft(contradiction, TOPIC).is_err(), "{contradiction}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_place() {
        for (event, routing, word) in [
            (r#"{}"#, TOPIC, "event.type"),
            (r#"{"type":""}"#, TOPIC, "event.type"),
            (r#"{"type":5}"#, TOPIC, "type"),
            (r#"{"type":"X","type":"Y"}"#, TOPIC, "twice"),
            (r#"{"type":"X","kind":"order"}"#, TOPIC, "kind"),
            (r#"{"type":"X","timestamp":"now"}"#, TOPIC, "timestamp"),
            (r#"{"type":"X","id":""}"#, TOPIC, "event.id"),
            (r#"{"type":"X","causation_id":"c"}"#, TOPIC, "causation_id"),
            (r#"{"type":"X","userName":"u"}"#, TOPIC, "payload"),
            (r#"{"type":"X","tags":["u"]}"#, TOPIC, "payload"),
            (r#"{"type":"X","correlationid":"c"}"#, TOPIC, "correlationid"),
            (r#"{"type":"X"}"#, r#"{}"#, "topic"),
            (r#"{"type":"X"}"#, r#"{"topic":"t","to":"all"}"#, "both"),
            (r#"{"type":"X"}"#, r#"{"topic":"t.*"}"#, "routing.topic"),
            (r#"{"type":"X"}"#, r#"{"to":"nobody"}"#, "routing.to"),
            (r#"{"type":"X"}"#, r#"{"topic":"t","priority":"urgent"}"#, "priority"),
            (r#"{"type":"X"}"#, r#"{"topic":"t","priority":-1}"#, "priority"),
            (r#"{"type":"X"}"#, r#"{"topic":"t","partition_key":""}"#, "partition_key"),
            (r#"[]"#, TOPIC, "event"),
        ] {
            let refusal = complete(event, routing, None).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidEnvelope, "{event} {routing}");
            assert!(refusal.reason.contains(word), "{event} {routing}: {}", refusal.reason);
        }
        assert_eq!(draft(r#"{"type":"X"}"#, r#"{"topic":"handbell.x"}"#).unwrap_err().code, Code::ForbiddenTopic);
    }

    #[test]
    fn the_digest_tells_content_apart_and_ignores_spelling_of_the_frame() {
        let one = draft(r#"{"type":"X","foo":1}"#, TOPIC).unwrap().digest();
        assert_eq!(draft(r#"{ "foo":1, "type":"X"}"#, TOPIC).unwrap().digest(), one);
        assert_ne!(draft(r#"{"type":"Y","foo":1}"#, TOPIC).unwrap().digest(), one);
        assert_ne!(draft(r#"{"type":"X","foo":1}"#, r#"{"topic":"u"}"#).unwrap().digest(), one);
    }
}
