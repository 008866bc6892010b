//! The settings as they are stored, and how they are compared.

use std::time::Duration;

use bytes::Bytes;
use handbell_backend::{BackendError, Fault};
use handbell_protocol::{
    TopicPattern,
    frame::{From, Order, RetryPolicy},
    time::duration_text,
};
use serde::{Deserialize, Serialize};

use crate::{GroupSettings, JoinError, starts::Starts};

/// How long a delivery of a group is lent unless it says otherwise.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// What the cell of a group's settings holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// In order, without repeats.
    pub(crate) topics: Vec<TopicPattern>,
    /// Empty: none.
    pub(crate) filter: String,
    pub(crate) order: Order,
    #[serde(with = "duration_text")]
    pub(crate) ack_wait: Duration,
    pub(crate) retry: RetryPolicy,
    /// As it was asked for.
    pub(crate) from: From,
    /// What it came to when the group was made.
    pub(crate) starts: Starts,
}

impl Stored {
    pub(super) fn make(asked: &GroupSettings, retry: &RetryPolicy, starts: Starts) -> Self {
        Self {
            topics: normal(&asked.topics),
            filter: asked.filter.clone().unwrap_or_default(),
            order: asked.order.unwrap_or_default(),
            ack_wait: asked.ack_wait.unwrap_or(ACK_WAIT),
            retry: asked.retry.as_ref().unwrap_or(retry).clone(),
            from: asked.from.clone(),
            starts,
        }
    }

    /// Compares what was asked for; what was left out means the stored.
    pub(super) fn compare(&self, asked: &GroupSettings) -> Result<(), JoinError> {
        let topics = (!asked.topics.is_empty()).then(|| normal(&asked.topics));
        let compared = same("topics", &self.topics, topics.as_ref())
            .and_then(|()| same("filter", &self.filter, asked.filter.as_ref()))
            .and_then(|()| same("order", &self.order, asked.order.as_ref()))
            .and_then(|()| same("ack_wait", &Text(self.ack_wait), asked.ack_wait.map(Text).as_ref()))
            .and_then(|()| same("retry", &self.retry, asked.retry.as_ref()));
        compared.map_err(|Differs { field, stored, asked: other }| JoinError::Mismatch {
            group: asked.group.clone(),
            field,
            stored,
            asked: other,
        })
    }

    pub(super) fn to_bytes(&self) -> Result<Bytes, BackendError> {
        let text = serde_json::to_vec(self)
            .map_err(|why| BackendError::new(Fault::Refused, "write a group's settings", why.to_string()))?;
        Ok(text.into())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, BackendError> {
        serde_json::from_slice(bytes)
            .map_err(|why| BackendError::new(Fault::Corrupt, "read a group's settings", why.to_string()))
    }
}

fn normal(topics: &[TopicPattern]) -> Vec<TopicPattern> {
    let mut topics = topics.to_vec();
    topics.sort();
    topics.dedup();
    topics
}

/// A duration that prints as people write it.
#[derive(PartialEq, Serialize)]
struct Text(#[serde(with = "duration_text")] Duration);

struct Differs {
    field: &'static str,
    stored: String,
    asked: String,
}

fn same<T: PartialEq + Serialize>(field: &'static str, stored: &T, asked: Option<&T>) -> Result<(), Differs> {
    match asked {
        Some(asked) if asked != stored => Err(Differs { field, stored: print(stored), asked: print(asked) }),
        _ => Ok(()),
    }
}

fn print(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use handbell_protocol::Segment;

    use super::*;
    use crate::starts::Beginning;

    fn asked() -> GroupSettings {
        GroupSettings {
            group: Segment::parse("g").unwrap(),
            topics: ["b.*", "a"].map(|topic| TopicPattern::parse(topic).unwrap()).into(),
            filter: None,
            order: None,
            ack_wait: None,
            retry: None,
            from: From::Start,
        }
    }

    fn stored() -> Stored {
        let asked = GroupSettings { filter: Some("type=A".into()), ..asked() };
        Stored::make(&asked, &RetryPolicy::default(), Starts::Same(Beginning::Oldest))
    }

    fn field(asked: GroupSettings) -> Option<&'static str> {
        match stored().compare(&asked) {
            Ok(()) => None,
            Err(JoinError::Mismatch { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_left_out_means_the_stored_setting() {
        assert_eq!(field(asked()), None);
        assert_eq!(field(GroupSettings { topics: vec![], ..asked() }), None);
        assert_eq!(field(GroupSettings { from: From::New, ..asked() }), None);
    }

    #[test]
    fn the_order_of_topics_is_no_difference() {
        let topics = asked().topics.into_iter().rev().collect();
        assert_eq!(field(GroupSettings { topics, ..asked() }), None);
    }

    #[test]
    fn the_field_that_differs_is_named() {
        let second = Duration::from_secs(1);
        let retry = RetryPolicy { max_retries: 9, ..RetryPolicy::default() };
        assert_eq!(field(GroupSettings { topics: vec![TopicPattern::parse("a").unwrap()], ..asked() }), Some("topics"));
        assert_eq!(field(GroupSettings { filter: Some(String::new()), ..asked() }), Some("filter"));
        assert_eq!(field(GroupSettings { order: Some(Order::None), ..asked() }), Some("order"));
        assert_eq!(field(GroupSettings { ack_wait: Some(second), ..asked() }), Some("ack_wait"));
        assert_eq!(field(GroupSettings { retry: Some(retry), ..asked() }), Some("retry"));
    }

    #[test]
    fn settings_read_back() {
        let position = "p1.ev.express.3.7.2a.0.log".parse().unwrap();
        for starts in [Starts::Same(Beginning::Oldest), Starts::Each(vec![position])] {
            let stored = Stored { starts, ..stored() };
            assert_eq!(Stored::from_bytes(&stored.to_bytes().unwrap()).unwrap(), stored);
        }
    }
}
