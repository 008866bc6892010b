//! Frames that the sidecar sends.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    code::Code,
    event::{Envelope, Event},
    json::Json,
};

/// A frame of the sidecar; `op` stands first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The session stands.
    Welcome(Welcome),
    /// A publish is durable.
    Published(Published),
    /// A publish, a request or an output is refused.
    Rejected(Rejected),
    /// A subscription stands.
    Subscribed {
        /// The subscription.
        sub: String,
    },
    /// A subscription has ended.
    Unsubscribed {
        /// The subscription.
        sub: String,
    },
    /// Everything stored before `subscribed` was handed out; sent only where
    /// `subscribe` asked for it with `level`.
    Level {
        /// The subscription.
        sub: String,
    },
    /// An event for the agent.
    Deliver(Deliver),
    /// Settlements that are durable.
    Settled(Settled),
    /// A settlement that had no effect.
    Gone(Gone),
    /// The answer to a request.
    Reply(Reply),
    /// The caller doesn't need this delivery's answer any more.
    Cancelled {
        /// The delivery that had the `call`.
        delivery: String,
    },
    /// Retention removed what the subscription had not read.
    Gap(Gap),
    /// The sidecar goes away.
    Goaway {
        /// How long acks and publishes are still taken.
        grace_ms: u64,
        /// For a person.
        reason: String,
    },
    /// A frame could not be taken.
    Error(ErrorFrame),
}

/// `welcome`: the session stands.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The session's ID, for logs.
    pub session: String,
    /// The producer whose `seq`s the session numbers.
    pub producer: String,
    /// What a later `hello` gives as `resume`.
    pub resume: String,
    /// Whether this is the same session as before.
    pub resumed: bool,
    /// How often the sidecar pings.
    pub heartbeat_ms: u64,
    /// The largest frame, in bytes.
    pub max_frame: usize,
    /// The largest event, in bytes.
    pub max_event: usize,
    /// How many publishes may be unanswered.
    pub publish_window: usize,
}

/// `published`: an event is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// The publish's number.
    pub seq: u64,
    /// The event's ID.
    pub id: String,
    /// Where it is stored; opaque, for `from`.
    pub position: String,
    /// Whether it had been stored before.
    pub duplicate: bool,
}

/// `rejected`: nothing was stored.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Rejected {
    /// The publish's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The delivery whose `ack` had the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Which output of the `ack`, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// For a program.
    pub code: Option<Code>,
    /// For a person.
    pub reason: String,
    /// How long to wait before the same is sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// `deliver`: an event for the agent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Deliver {
    /// The subscription; `""` is direct work.
    pub sub: Arc<str>,
    /// What settles it; can't be guessed.
    pub delivery: String,
    /// Which delivery of the event this is, from 1.
    pub attempt: u32,
    /// The same for all attempts.
    pub idempotency_key: Arc<str>,
    /// Where it is stored.
    pub position: String,
    /// The event, its payload and its routing.
    #[serde(flatten)]
    #[schemars(with = "Envelope")]
    pub envelope: Arc<Envelope>,
    /// For tracing.
    pub trace: Trace,
    /// What a declared subscription says is to be done, for a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The saga's step that this command is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// The call that expects an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

/// `deliver.trace`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// W3C `traceparent` of the delivery's span.
    pub traceparent: String,
}

/// `deliver.step`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The saga.
    pub saga_id: String,
    /// The step, from 1.
    pub step: u32,
    /// Which attempt of the step.
    pub attempt: u32,
}

/// `settled`: settlements that are durable.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Settled {
    /// The deliveries.
    pub deliveries: Vec<String>,
    /// The outputs of an `ack`, in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Vec<OutputPublished>>,
}

/// One output of an `ack`, stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputPublished {
    /// The event's ID.
    pub id: String,
    /// Where it is stored.
    pub position: String,
    /// Whether it had been stored before.
    pub duplicate: bool,
}

/// `gone`: a settlement that had no effect.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Gone {
    /// The delivery as the agent named it.
    pub delivery: String,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplyStatus {
    /// Answered.
    Ok,
    /// Answered with an error, or rejected.
    Error,
    /// Nobody answered within the deadline.
    Timeout,
    /// Nobody is there who could answer.
    NoResponders,
    /// The broker could not carry it.
    Unavailable,
    /// The caller cancelled it.
    Cancelled,
    /// The default stands in for an answer.
    Default,
}

/// `reply`: the answer to a request.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Reply {
    /// The call.
    pub call: String,
    /// What settles the reply.
    pub delivery: String,
    /// How it ended.
    pub status: ReplyStatus,
    /// The answer's event, where somebody answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The answer.
    pub payload: Json,
}

/// `gap`: retention removed what the subscription had not read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The subscription.
    pub sub: String,
    /// The first position that is missing.
    pub from: String,
    /// The first position that is there.
    pub to: String,
    /// How many, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// `error`: a frame could not be taken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ErrorFrame {
    /// For a program.
    pub code: Code,
    /// What, where and how to mend it.
    pub reason: String,
    /// The `op` of the frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op_ref: Option<String>,
    /// The frame's `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The frame's `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The frame's `delivery`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The frame's `call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

impl ServerFrame {
    /// The frame's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = Vec::with_capacity(self.about());
        serde_json::to_writer(&mut text, self).expect("frames have text keys only, so they can be written");
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    /// About how long its text is, so that it is written without growing.
    fn about(&self) -> usize {
        match self {
            Self::Deliver(deliver) => 1_024 + deliver.envelope.payload.as_bytes().len(),
            Self::Reply(reply) => 768 + reply.payload.as_bytes().len(),
            _ => 256,
        }
    }
}
