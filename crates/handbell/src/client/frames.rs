//! Frames of the sidecar as a client reads them: payloads stay as written.

use handbell_protocol::{Json, frame::ReplyStatus};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// `publish` or `request`, before it has its number.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Work {
    pub(crate) op: &'static str,
    /// Set by the session.
    pub(crate) seq: u64,
    pub(crate) event: Value,
    /// As written.
    pub(crate) payload: Json,
    pub(crate) routing: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<String>,
}

/// A frame: its `op` and its text.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) op: String,
    pub(crate) text: String,
}

impl Frame {
    /// The frame of this text, if it has an `op`.
    pub(super) fn parse(text: String) -> Option<Self> {
        #[derive(Deserialize)]
        struct Op {
            op: String,
        }
        let Op { op } = serde_json::from_str(&text).ok()?;
        Some(Self { op, text })
    }

    /// The frame as a `T`; `None` where it is none.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.text).ok()
    }
}

/// `deliver`.
#[derive(Debug, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) delivery: String,
    pub(crate) attempt: u32,
    pub(crate) idempotency_key: String,
    pub(crate) position: String,
    pub(crate) event: Box<RawValue>,
    pub(crate) payload: Box<RawValue>,
    pub(crate) routing: Box<RawValue>,
    #[serde(default)]
    pub(crate) call: Option<String>,
}

/// The members of `deliver.event` that people look at.
#[derive(Debug, Deserialize)]
pub(crate) struct EventHead {
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) source: String,
    pub(crate) timestamp: String,
    pub(crate) correlation_id: String,
}

impl Delivery {
    /// What people look at first.
    pub(crate) fn head(&self) -> Option<EventHead> {
        serde_json::from_str(self.event.get()).ok()
    }
}

/// `reply`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reply {
    pub(crate) call: String,
    pub(crate) delivery: String,
    pub(crate) status: ReplyStatus,
    pub(crate) payload: Box<RawValue>,
}

/// `rejected`.
#[derive(Debug, Deserialize)]
pub(crate) struct Rejected {
    #[serde(default)]
    pub(crate) seq: Option<u64>,
    pub(crate) code: handbell_protocol::Code,
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<u64>,
}

/// `error`.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorFrame {
    pub(crate) code: handbell_protocol::Code,
    pub(crate) reason: String,
}
