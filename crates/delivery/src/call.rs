//! The call that a request carries: to whom its answer goes, and until when.
//!
//! All answers to one request share a dedup key, so the first one stands,
//! whoever gives it: a responder, the caller's side when it has waited long
//! enough, or whoever holds the request when its deadline passes. So all of
//! them tell the caller the same.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::{Class, Dedup, Headers, Outgoing, PartitionCount, Record, header, partition_of};
use handbell_protocol::{
    AgentName, Envelope, Json, Priority, Target, Timestamp,
    event::{Cause, Event, Routing, id},
};

use crate::inbox::{CALLER_MEMBER, reply_topic};

/// An answer is kept for its caller so long after the request's deadline.
const KEPT: Duration = Duration::from_secs(600);

/// Who answers where nobody did, in the ID of that answer.
const NOBODY: &str = "handbell/deadline";

/// The call of a request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name, unique among the open calls of its caller.
    pub name: String,
    /// Who waits for the answer.
    pub caller: AgentName,
    /// When an answer comes too late.
    pub deadline: Timestamp,
    /// The producer that called: the session that should get the answer.
    pub producer: Option<String>,
    /// Its member, where that session is.
    pub member: Option<String>,
    /// What stands in where nobody answers.
    pub default: Option<Json>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The responder's.
    Ok,
    /// The responder's, which couldn't.
    Error,
    /// Nobody answered in time.
    Timeout,
    /// Nobody answered, and the caller had said what stands in.
    Default,
    /// Nobody was there.
    NoResponders,
    /// The caller didn't want it any more.
    Cancelled,
}

// === impl Call ===

impl Call {
    /// The call of a record, if it is a request.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let get = |name| record.headers.get(name);
        if get(header::STATUS).is_some() {
            return None;
        }
        Some(Self {
            name: get(header::CALL)?.to_owned(),
            caller: AgentName::parse(get(header::REPLY_TO)?).ok()?,
            deadline: Timestamp::parse(get(header::EXPIRY)?).ok()?,
            producer: get(header::CALLER).map(ToOwned::to_owned),
            member: get(CALLER_MEMBER).map(ToOwned::to_owned),
            default: get(header::DEFAULT).and_then(|text| Json::from_text(text.to_owned()).ok()),
        })
    }

    /// The record of an answer to `request`, for the caller's inbox.
    #[must_use]
    pub fn answer(&self, request: &str, envelope: Envelope, answer: Answer, partitions: PartitionCount) -> Outgoing {
        let topic = reply_topic(&self.caller);
        let mut headers = Headers::default();
        headers.set(header::CALL, &*self.name);
        headers.set(header::STATUS, answer.as_str());
        headers.set(header::EXPIRY, self.deadline.after(KEPT).to_string());
        for (name, value) in [(header::CALLER, &self.producer), (CALLER_MEMBER, &self.member)] {
            if let Some(value) = value {
                headers.set(name, &**value);
            }
        }
        Outgoing {
            class: Class::Inbox,
            partition: partition_of(topic.as_str(), partitions),
            topic,
            envelope: Arc::new(envelope),
            headers,
            dedup: Some(Dedup { key: format!("answer/{request}"), digest: None }),
        }
    }

    /// What the caller is told when there is no responder's answer: `how` it
    /// ended instead, or the default that the caller had given.
    #[must_use]
    pub fn conclusion(&self, request: &Cause, how: Answer, partitions: PartitionCount) -> Outgoing {
        let event = Event {
            id: id::of_output(&request.id, request.at, NOBODY, 0),
            event_type: "ResponseEvent".into(),
            source: self.caller.to_string(),
            timestamp: self.deadline.into(),
            version: "1.0".into(),
            correlation_id: request.correlation_id.clone(),
            causation_id: Some(request.id.clone()),
            kind: None,
            extensions: BTreeMap::new(),
        };
        let to = Some(Target::Agent(self.caller.clone()));
        let routing = Routing { topic: None, to, partition_key: None, priority: Priority::Normal, hops: request.hops };
        let (how, payload) = match &self.default {
            Some(default) if how != Answer::Cancelled => (Answer::Default, default.clone()),
            _ => (how, Json::null()),
        };
        self.answer(&request.id, Envelope { event, payload, routing }, how, partitions)
    }
}

// === impl Answer ===

impl Answer {
    /// As it stands in the record's header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Default => "default",
            Self::NoResponders => "no_responders",
            Self::Cancelled => "cancelled",
        }
    }

    /// How a record answers a call; `None` when it is no answer.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        match record.headers.get(header::STATUS)? {
            "error" => Some(Self::Error),
            "timeout" => Some(Self::Timeout),
            "default" => Some(Self::Default),
            "no_responders" => Some(Self::NoResponders),
            "cancelled" => Some(Self::Cancelled),
            _ => Some(Self::Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{record, with};

    fn request() -> Record {
        let asked = with(with(record(1), header::CALL, "c1"), header::REPLY_TO, "/a");
        with(asked, header::EXPIRY, &Timestamp::from_millis(1_000).to_string())
    }

    fn concluded(request: &Record, how: Answer) -> Outgoing {
        let cause = Cause::of(&request.envelope);
        Call::of(request).unwrap().conclusion(&cause, how, PartitionCount::default())
    }

    #[test]
    fn what_nobody_answered_names_its_call_and_shares_the_key_of_every_other_answer() {
        let told = concluded(&request(), Answer::Timeout);
        assert_eq!(told.topic.as_str(), "reply.a");
        assert_eq!(told.headers.get(header::CALL), Some("c1"));
        assert_eq!(told.headers.get(header::STATUS), Some("timeout"));
        assert_eq!(told.envelope.event.causation_id.as_deref(), Some("e1"));
        assert_eq!(told.dedup.unwrap().key, "answer/e1");
    }

    #[test]
    fn a_default_stands_in() {
        let asked = with(request(), header::DEFAULT, r#"{"n":7}"#);
        for (how, status, payload) in [
            (Answer::Timeout, "default", r#"{"n":7}"#),
            (Answer::NoResponders, "default", r#"{"n":7}"#),
            (Answer::Cancelled, "cancelled", "null"),
        ] {
            let told = concluded(&asked, how);
            assert_eq!((told.headers.get(header::STATUS), told.envelope.payload.as_str()), (Some(status), payload));
        }
    }

    #[test]
    fn an_answer_has_no_call_of_its_own() {
        assert!(Call::of(&record(1)).is_none());
        assert!(Call::of(&with(request(), header::STATUS, "ok")).is_none());
    }
}
