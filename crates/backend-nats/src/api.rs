//! JetStream's own API, as far as it is used here.

use handbell_protocol::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{ack::Asker, error::Trouble};

/// A JSON object as the API takes and gives it.
pub(crate) type Object = Map<String, Value>;

/// What the server says of a stream.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: Object,
    pub(crate) created: String,
    /// The server's clock.
    #[serde(default)]
    pub(crate) ts: Option<String>,
    pub(crate) state: StreamState,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct StreamState {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) first_seq: u64,
    pub(crate) first_ts: String,
    pub(crate) last_seq: u64,
    pub(crate) last_ts: String,
    #[serde(default)]
    pub(crate) subjects: Option<std::collections::BTreeMap<String, u64>>,
}

/// What the server says of a consumer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ConsumerInfo {
    pub(crate) name: String,
    pub(crate) delivered: Sequences,
    pub(crate) num_pending: u64,
    #[serde(default)]
    pub(crate) config: Object,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Sequences {
    pub(crate) consumer_seq: u64,
    pub(crate) stream_seq: u64,
}

/// What a deletion answers.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Done {
    #[serde(rename = "success")]
    _success: bool,
}

#[derive(Deserialize)]
struct Failed {
    error: Option<ApiError>,
}

/// An error as the server tells it.
#[derive(Deserialize)]
pub(crate) struct ApiError {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::Api { code: error.code, err_code: error.err_code, description: error.description }
    }
}

impl Asker {
    /// Calls `$JS.API.<operation>`.
    pub(crate) async fn call<T: DeserializeOwned>(&self, operation: &str, body: &impl Serialize) -> Result<T, Trouble> {
        let body = serde_json::to_vec(body).map_err(|error| Trouble::Unreadable(error.to_string()))?;
        let answer = self.answer(format!("$JS.API.{operation}"), None, body.into()).await?;
        parse(&answer.payload)
    }

    pub(crate) async fn stream_info(&self, stream: &str) -> Result<StreamInfo, Trouble> {
        self.call(&format!("STREAM.INFO.{stream}"), &json!({})).await
    }

    pub(crate) async fn consumer_info(&self, stream: &str, consumer: &str) -> Result<ConsumerInfo, Trouble> {
        self.call(&format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await
    }

    /// Makes a consumer, or changes it.
    pub(crate) async fn make_consumer(
        &self,
        stream: &str,
        name: &str,
        config: &Value,
    ) -> Result<ConsumerInfo, Trouble> {
        let body = json!({ "stream_name": stream, "config": config });
        self.call(&format!("CONSUMER.CREATE.{stream}.{name}"), &body).await
    }

    /// Deletes a consumer; one that isn't there is as good as deleted.
    pub(crate) async fn drop_consumer(&self, stream: &str, name: &str) {
        let deleted: Result<Done, _> = self.call(&format!("CONSUMER.DELETE.{stream}.{name}"), &json!({})).await;
        if let Err(error) = deleted {
            tracing::debug!(%error, stream, name, "a consumer isn't deleted; the broker forgets it by itself");
        }
    }
}

/// An answer of the API, or the error that it tells.
pub(crate) fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Trouble> {
    let unreadable = |error: serde_json::Error| Trouble::Unreadable(error.to_string());
    match serde_json::from_slice(payload) {
        Ok(answer) => Ok(answer),
        Err(error) => match serde_json::from_slice::<Failed>(payload).map_err(unreadable)?.error {
            Some(told) => Err(told.into()),
            None => Err(unreadable(error)),
        },
    }
}

/// An instant as the API writes it, cut to milliseconds.
pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse::<jiff::Timestamp>()
        .map_or_else(|_| Timestamp::default(), |at| Timestamp::from_millis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_code() {
        let text = br#"{"type":"x","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        let error = parse::<StreamInfo>(text).unwrap_err();
        assert!(error.is_missing());
        assert_eq!(error.to_string(), "stream not found (10059)");
    }
}
