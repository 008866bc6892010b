//! Frames that an agent sends, well formed.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ReplyStatus, RetryPolicy,
    reading::{DEFAULT_DEADLINE, class, credit, credit_value},
};
use crate::{
    code::{Code, Refusal},
    event::Draft,
    name::{AgentName, Segment},
    pattern::TopicPattern,
    schema::DurationText,
    time::{Timestamp, duration_text},
};

/// A frame of an agent, well formed.
#[derive(Debug)]
pub enum ClientFrame {
    /// The first frame: who the agent is.
    Hello(Hello),
    /// Store an event.
    Publish(Publish),
    /// Store an event and expect an answer.
    Request(Request),
    /// Receive events.
    Subscribe(Subscribe),
    /// End a subscription.
    Unsubscribe(Unsubscribe),
    /// Raise a subscription's ceiling.
    Credit(Credit),
    /// Done.
    Ack(Ack),
    /// Not done; try again.
    Nack(Nack),
    /// Not done; don't try again.
    Reject(Reject),
    /// Still at it.
    Extend(Extend),
    /// Not started; give it to somebody else.
    Release(Release),
    /// Answer a request.
    Respond(Respond),
    /// The answer isn't needed any more.
    Cancel(Cancel),
    /// The session ends.
    Bye,
}

impl ClientFrame {
    /// The deliveries that it says something of.
    #[must_use]
    pub fn deliveries(&self) -> &[String] {
        match self {
            Self::Ack(Ack { deliveries, .. }) | Self::Release(Release { deliveries, .. }) => deliveries,
            Self::Nack(Nack { delivery, .. })
            | Self::Reject(Reject { delivery, .. })
            | Self::Extend(Extend { delivery, .. })
            | Self::Respond(Respond { delivery, .. }) => std::slice::from_ref(delivery),
            _ => &[],
        }
    }
}

/// `hello`: the first frame of a connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Hello {
    /// The agent's name.
    pub agent: AgentName,
    /// The agent's token, where tokens are in force.
    #[serde(default)]
    pub token: Option<String>,
    /// Pools whose work the agent shares.
    #[serde(default)]
    pub pools: Vec<Segment>,
    /// What the agent can do.
    #[serde(default)]
    pub capabilities: Vec<Segment>,
    /// The ceiling for direct work; 16 by default.
    #[serde(default, deserialize_with = "credit")]
    #[schemars(range(max = super::MAX_CREDIT))]
    pub credit: Option<u32>,
    /// The last `welcome.resume`.
    #[serde(default)]
    pub resume: Option<String>,
}

/// `publish`: store an event.
#[derive(Debug)]
pub struct Publish {
    /// The publish's number, dense per producer.
    pub seq: u64,
    /// The event, checked; or why it can't be stored.
    pub draft: Result<Draft, Refusal>,
    /// The delivery that it answers.
    pub cause: Option<String>,
    /// What handling it has cost.
    pub usage: Option<Usage>,
}

/// What an agent reports as used: names such as `tokens` and amounts.
pub type Usage = BTreeMap<String, f64>;

/// `request`: store direct work and expect an answer.
#[derive(Debug)]
pub struct Request {
    /// The event, as for `publish`.
    pub publish: Publish,
    /// What the caller names the call: 1–128 characters, unique among its open ones.
    pub call: String,
    /// How long an answer may take; 1 ms–24 h, 30 s by default.
    pub deadline: Duration,
    /// What stands in for an answer that doesn't come.
    pub default: Option<crate::json::Json>,
}

impl Request {
    /// An older agent's `publish` with `requires_response` and `callback_id`,
    /// as the request that it is.
    #[must_use]
    pub fn from_callback(publish: Publish, callback_id: String) -> Self {
        Self { publish, call: callback_id, deadline: DEFAULT_DEADLINE, default: None }
    }
}

/// `subscribe`: receive events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["sub", "topics"]))]
pub struct Subscribe {
    /// What the agent names the subscription.
    #[schemars(length(min = 1, max = 128))]
    pub sub: String,
    /// Topics and patterns.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub topics: Vec<TopicPattern>,
    /// Which events of them: the short form or CEL.
    #[serde(default)]
    pub filter: Option<String>,
    /// The durable group; without it, a fan-out that ends with the session.
    #[serde(default)]
    pub group: Option<Segment>,
    /// Where to begin; for a group only when it is made.
    #[serde(default)]
    pub from: Option<From>,
    /// The ceiling on unsettled deliveries; 64 by default.
    #[serde(default, deserialize_with = "credit")]
    #[schemars(range(max = super::MAX_CREDIT))]
    pub credit: Option<u32>,
    /// How long a delivery is the agent's without a sign of life; 1 s–1 h.
    #[serde(default, with = "duration_text::option")]
    #[schemars(with = "Option<DurationText>")]
    pub ack_wait: Option<Duration>,
    /// Whether events of one partition key keep their order.
    #[serde(default)]
    pub order: Option<Order>,
    /// How often and when a failed delivery comes again.
    #[serde(default)]
    pub retry: Option<RetryPolicy>,
    /// Whether to tell, once, with `level`, that everything stored before the
    /// `subscribed` has been handed out. An extension of v1.
    #[serde(default)]
    pub level: bool,
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// With the oldest event that is kept.
    Start,
    /// With events stored after the subscription.
    New,
    /// With the first event stored at that time or later.
    Time(Timestamp),
    /// With that position, inclusive in its own partition and lane.
    Position(String),
}

/// Whether a group keeps order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// At most one delivery per partition key at a time.
    #[default]
    Key,
    /// No order; a pool may be larger than there are partitions.
    None,
}

/// `credit`: raise a subscription's ceiling.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Credit {
    /// The subscription; `""` is direct work.
    pub sub: String,
    /// By how many.
    #[serde(deserialize_with = "credit_value")]
    #[schemars(range(max = super::MAX_CREDIT))]
    pub add: u32,
}

/// `ack`: deliveries are done, with what they led to.
#[derive(Debug)]
pub struct Ack {
    /// The deliveries.
    pub deliveries: Vec<String>,
    /// Events that the one delivery led to, stored before it is settled.
    pub publish: Vec<Output>,
    /// What handling them has cost.
    pub usage: Option<Usage>,
    /// Whether `settled` is wanted.
    pub confirm: bool,
}

/// One output inside an `ack`: a publish without `seq`.
pub type Output = Result<Draft, Refusal>;

/// `nack`: not done; try again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Nack {
    /// The delivery.
    pub delivery: String,
    /// The failure's class: `temporary_failure`, `timeout`, `invalid_payload`,
    /// `unauthorized`, or any `[a-z_]{1,64}`.
    #[serde(deserialize_with = "class")]
    #[schemars(regex(pattern = r"^[a-z_]{1,64}$"))]
    pub class: String,
    /// For a person.
    #[serde(default)]
    pub reason: String,
    /// When it comes again, exactly; 0 s–24 h. Without it the policy says.
    #[serde(default, with = "duration_text::option")]
    #[schemars(with = "Option<DurationText>")]
    pub delay: Option<Duration>,
    /// Whether `settled` is wanted.
    #[serde(default)]
    pub confirm: bool,
}

/// `reject`: not done, and trying again won't help.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Reject {
    /// The delivery.
    pub delivery: String,
    /// For a person.
    #[serde(default)]
    pub reason: String,
    /// Whether `settled` is wanted.
    #[serde(default)]
    pub confirm: bool,
}

/// `extend`: still at it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Extend {
    /// The delivery.
    pub delivery: String,
    /// The lease ends so long from now.
    #[serde(rename = "for", with = "duration_text")]
    #[schemars(with = "DurationText")]
    pub lease: Duration,
}

/// `release`: not started, so that no attempt is counted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Release {
    /// The deliveries.
    pub deliveries: Vec<String>,
    /// Whether `settled` is wanted.
    #[serde(default)]
    pub confirm: bool,
}

/// `respond`: answer a request.
#[derive(Debug)]
pub struct Respond {
    /// The delivery that had a `call`.
    pub delivery: String,
    /// The answer.
    pub payload: crate::json::Json,
    /// `ok` (default) or `error`.
    pub status: ReplyStatus,
    /// The answer's event, as far as the agent wants to say; its type is
    /// `ResponseEvent` by default.
    pub event: Option<Box<RawValue>>,
    /// Whether `settled` is wanted.
    pub confirm: bool,
}

/// `cancel`: the answer isn't needed any more.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Cancel {
    /// The call.
    pub call: String,
}

/// `unsubscribe`: end a subscription; its unsettled work is given back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Unsubscribe {
    /// The subscription.
    pub sub: String,
}

/// A frame that can't be taken, with what it had to be recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameError {
    /// What is wrong, where, and how to mend it.
    pub reason: String,
    /// The frame's `op`, if it could be read.
    pub op: Option<String>,
    /// The frame's `sub`.
    pub sub: Option<String>,
    /// The frame's `seq`; with it the answer is `rejected` instead of `error`.
    pub seq: Option<u64>,
    /// The frame's `delivery`.
    pub delivery: Option<String>,
    /// The frame's `call`.
    pub call: Option<String>,
}

impl FrameError {
    /// The code of every frame that can't be taken.
    pub const CODE: Code = Code::Protocol;
}
