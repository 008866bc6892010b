//! What an agent sends, as schemas: the frames with a derived reader as they
//! are, mirrors for those that are read by hand.
//!
//! Nothing here is ever made; only the derived schemas are used. A test sends
//! each documented frame, whole and with each required member left out,
//! through both the schema and the reader.

#![expect(dead_code, reason = "the types are there for their schemas")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use crate::{
    event::{EventTime, Kind, Priority, Target},
    frame::{Cancel, Credit, Extend, Hello, MAX_SEQ, Nack, Reject, Release, Subscribe, Unsubscribe, Usage},
    json::Json,
    name::{AgentName, Topic},
};

/// A frame that an agent sends.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum AgentFrame {
    /// Says who the agent is; the first frame.
    Hello(Hello),
    /// Stores an event.
    Publish(Publish),
    /// Stores direct work and expects an answer.
    Request(Request),
    /// Receives events.
    Subscribe(Subscribe),
    /// Ends a subscription; its unsettled work is given back.
    Unsubscribe(Unsubscribe),
    /// Raises a subscription's ceiling on unsettled deliveries.
    Credit(Credit),
    /// Deliveries are done, with what they led to.
    Ack(Ack),
    /// Not done; try again.
    Nack(Nack),
    /// Not done, and trying again won't help.
    Reject(Reject),
    /// Still at it.
    Extend(Extend),
    /// Not started; give it to somebody else.
    Release(Release),
    /// Answers a request.
    Respond(Respond),
    /// The answer isn't needed any more.
    Cancel(Cancel),
    /// The session ends.
    Bye {},
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Publish {
    /// The publish's number, from 1, dense per producer.
    #[schemars(range(min = 1, max = MAX_SEQ))]
    seq: u64,
    event: EventDraft,
    /// Any JSON, carried byte for byte; null if it is left out.
    #[serde(default)]
    payload: Json,
    routing: RoutingDraft,
    /// The delivery that it answers.
    cause: Option<String>,
    /// What handling that delivery has cost, such as tokens.
    usage: Option<Usage>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Request {
    #[serde(flatten)]
    publish: Publish,
    /// What the caller names the call; unique among its open ones.
    #[schemars(length(min = 1, max = 128))]
    call: String,
    /// How long an answer may take; 1 ms to 24 h, 30 s by default.
    #[schemars(with = "Option<DurationText>")]
    deadline: Option<String>,
    /// The payload that stands in for an answer that doesn't come.
    #[serde(default)]
    default: Json,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Ack {
    deliveries: Vec<String>,
    /// Events that the one delivery led to, stored before it is settled.
    publish: Option<Vec<Output>>,
    /// What handling them has cost, such as tokens.
    usage: Option<Usage>,
    /// Whether `settled` is wanted.
    confirm: Option<bool>,
}

/// An event inside an `ack`: a publish without `seq`.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Output {
    event: EventDraft,
    /// Any JSON, carried byte for byte; null if it is left out.
    #[serde(default)]
    payload: Json,
    routing: RoutingDraft,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Respond {
    /// The delivery that had a `call`.
    delivery: String,
    /// The answer; null if it is left out.
    #[serde(default)]
    payload: Json,
    /// `ok` by default.
    status: Option<Answer>,
    /// What the agent wants to say of the answer's event; its type is
    /// `ResponseEvent` by default.
    event: Option<BTreeMap<String, Json>>,
    /// Whether `settled` is wanted.
    confirm: Option<bool>,
}

/// How a responder's answer is meant.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// Answered.
    Ok,
    /// Answered with an error.
    Error,
}

/// The event as an agent writes it: what it leaves out is filled in. Further
/// members are text, number or boolean under names of a–z and 0–9.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("patternProperties" = {
    "^[a-z0-9]{1,128}$": {"type": ["string", "number", "boolean", "null"]},
}, "additionalProperties" = false))]
struct EventDraft {
    /// What happened, such as `TaskCompletedEvent`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 255))]
    event_type: String,
    /// Kept as it is; made by the sidecar if it is left out.
    #[schemars(length(min = 1, max = 255))]
    id: Option<String>,
    /// The agent itself, or left out.
    source: Option<AgentName>,
    /// Now, if it is left out.
    timestamp: Option<EventTime>,
    /// `1.0`, if it is left out.
    #[schemars(length(min = 1, max = 255))]
    version: Option<String>,
    /// That of the cause, else the event's own ID, if it is left out.
    #[schemars(length(min = 1, max = 255))]
    correlation_id: Option<String>,
    /// Only beside `correlation_id` or a `cause`.
    #[schemars(length(min = 1, max = 255))]
    causation_id: Option<String>,
    /// Told by the type's suffix, if it is left out.
    kind: Option<Kind>,
    /// An older name of `source`.
    agent_id: Option<AgentName>,
    /// An older name of `correlation_id`.
    #[schemars(length(min = 1, max = 255))]
    coordination_id: Option<String>,
    /// An older place of `routing.priority`.
    priority: Option<AnyPriority>,
    /// With `callback_id`: older agents' way to make a request of a publish.
    requires_response: Option<bool>,
    /// The `call` of such a request.
    callback_id: Option<String>,
}

/// A priority by name, or an older agent's number: 0 low, 1 normal, 2 high, 3
/// and more critical.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum AnyPriority {
    Name(Priority),
    Number(u64),
}

/// Where an event goes: exactly one of `topic` and `to`.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("oneOf" = [
    {"required": ["topic"], "properties": {"topic": {"type": "string"}}},
    {"required": ["to"], "properties": {"to": {"type": "string"}}},
]))]
struct RoutingDraft {
    /// The topic that it is published on.
    topic: Option<Topic>,
    /// Whom it is for, when it is direct work.
    to: Option<Target>,
    /// Events of one key keep their order.
    #[schemars(length(min = 1, max = 255))]
    partition_key: Option<String>,
    /// `normal`, if it is left out.
    priority: Option<AnyPriority>,
}
