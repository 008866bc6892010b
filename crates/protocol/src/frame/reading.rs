//! Reading an agent's frame: tolerant about what it doesn't know, complete
//! about what it does.

use std::{borrow::Cow, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Ack, ClientFrame, Extend, FrameError, MAX_CREDIT, MAX_SEQ, Nack, Output, Publish, Release, ReplyStatus, Request,
    Respond, Subscribe,
    fault::{brief, explain, sentence},
};
use crate::{
    event::Draft,
    json::{Json, depth_is_bounded},
};

impl ClientFrame {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`FrameError`] for what is no JSON object, has a doubled member, an
    /// unknown `op`, a member of a wrong type, or nests deeper than 128.
    /// Faults inside an event are not among them: they stand in its draft.
    #[expect(clippy::result_large_err, reason = "made once for a bad frame, and taken apart at once")]
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        if !depth_is_bounded(text) {
            return Err(FrameError {
                reason: "the frame nests deeper than 128 levels; flatten it".into(),
                ..FrameError::default()
            });
        }
        let members: Members<'_> = serde_json::from_str(text)
            .map_err(|error| FrameError { reason: format!("not one JSON object: {error}"), ..FrameError::default() })?;
        members.frame().map_err(|reason| members.error(reason))
    }
}

/// The members of a frame, each still as text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(8);
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    if members.iter().any(|(have, _)| *have == name.0) {
                        return Err(A::Error::custom(format_args!("member {:?} stands twice", name.0)));
                    }
                    members.push((name.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

type Read<T> = Result<T, String>;

impl Members<'_> {
    fn raw(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| *value)
    }

    /// An optional member; `null` counts as absent.
    fn get<T: DeserializeOwned>(&self, name: &str) -> Read<Option<T>> {
        match self.raw(name) {
            None => Ok(None),
            Some(raw) => serde_json::from_str(raw.get())
                .map_err(|_| explain::<Option<T>, _>(name, &mut serde_json::Deserializer::from_str(raw.get()))),
        }
    }

    fn need<T: DeserializeOwned>(&self, name: &str) -> Read<T> {
        self.get(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    fn frame(&self) -> Read<ClientFrame> {
        let op: String = self.need("op")?;
        Ok(match op.as_str() {
            "hello" => ClientFrame::Hello(self.whole()?),
            "publish" => ClientFrame::Publish(self.publish()?),
            "request" => ClientFrame::Request(self.request()?),
            "subscribe" => ClientFrame::Subscribe(self.subscribe()?),
            "unsubscribe" => ClientFrame::Unsubscribe(self.whole()?),
            "credit" => ClientFrame::Credit(self.whole()?),
            "ack" => ClientFrame::Ack(self.ack()?),
            "nack" => ClientFrame::Nack(self.nack()?),
            "reject" => ClientFrame::Reject(self.whole()?),
            "extend" => ClientFrame::Extend(self.extend()?),
            "release" => ClientFrame::Release(self.release()?),
            "respond" => ClientFrame::Respond(self.respond()?),
            "cancel" => ClientFrame::Cancel(self.whole()?),
            "bye" => ClientFrame::Bye,
            other => {
                return Err(format!(
                    "op {other:?} is unknown; an agent sends hello, publish, request, subscribe, unsubscribe, credit, ack, nack, reject, extend, release, respond, cancel or bye"
                ));
            }
        })
    }

    /// A frame without raw members, read by its derived reader; `null`
    /// counts as absent.
    fn whole<T: DeserializeOwned>(&self) -> Read<T> {
        let reader = || {
            let given = self.0.iter().filter(|(_, raw)| raw.get() != "null");
            let members = given.map(|(name, raw)| (name.as_ref(), *raw));
            serde::de::value::MapDeserializer::<_, serde_json::Error>::new(members)
        };
        T::deserialize(reader()).map_err(|_| explain::<T, _>("", reader()))
    }

    fn publish(&self) -> Read<Publish> {
        let seq: u64 = self.need("seq").map_err(|_| SEQ_RULE.to_owned())?;
        if !(1..=MAX_SEQ).contains(&seq) {
            return Err(SEQ_RULE.into());
        }
        Ok(Publish {
            seq,
            draft: Draft::parse(self.raw("event"), self.raw("payload"), self.raw("routing")),
            cause: self.get("cause")?,
            usage: self.get("usage")?,
        })
    }

    fn request(&self) -> Read<Request> {
        let call: String = self.need("call")?;
        check_call(&call)?;
        let deadline = self.duration("deadline", Duration::from_millis(1), DAY)?.unwrap_or(DEFAULT_DEADLINE);
        let default = self.raw("default").map(Json::from_raw);
        Ok(Request { publish: self.publish()?, call, deadline, default })
    }

    fn subscribe(&self) -> Read<Subscribe> {
        let subscribe: Subscribe = self.whole()?;
        if subscribe.sub.is_empty() || subscribe.sub.chars().count() > 128 {
            return Err("sub must be 1 to 128 characters; \"\" is direct work, which needs no subscription".into());
        }
        if subscribe.topics.is_empty() {
            return Err("topics is missing or empty; name at least one topic or pattern".into());
        }
        if let Some(ack_wait) = subscribe.ack_wait {
            within("ack_wait", ack_wait, Duration::from_secs(1), Duration::from_secs(3600))?;
        }
        if let Some(retry) = &subscribe.retry {
            retry.check()?;
        }
        Ok(subscribe)
    }

    fn ack(&self) -> Read<Ack> {
        let outputs: Option<Vec<Box<RawValue>>> = self.get("publish")?;
        let numbered = outputs.iter().flatten().enumerate();
        let publish = numbered.map(|(index, raw)| output(index, raw)).collect::<Read<Vec<_>>>()?;
        let deliveries: Vec<String> = self.need("deliveries")?;
        named(&deliveries)?;
        if !publish.is_empty() && deliveries.len() != 1 {
            return Err("an ack with publish holds exactly one delivery, which is the cause of its outputs".into());
        }
        Ok(Ack { deliveries, publish, usage: self.get("usage")?, confirm: self.get("confirm")?.unwrap_or(false) })
    }

    fn release(&self) -> Read<Release> {
        let release: Release = self.whole()?;
        named(&release.deliveries)?;
        Ok(release)
    }

    fn nack(&self) -> Read<Nack> {
        let nack: Nack = self.whole()?;
        if let Some(delay) = nack.delay {
            within("delay", delay, Duration::ZERO, DAY)?;
        }
        Ok(nack)
    }

    fn extend(&self) -> Read<Extend> {
        let extend: Extend = self.whole()?;
        within("for", extend.lease, Duration::from_millis(1), DAY)?;
        Ok(extend)
    }

    fn respond(&self) -> Read<Respond> {
        let status = match self.get::<String>("status")?.as_deref() {
            None | Some("ok") => ReplyStatus::Ok,
            Some("error") => ReplyStatus::Error,
            Some(other) => return Err(format!("status must be ok or error, not {other:?}")),
        };
        Ok(Respond {
            delivery: self.need("delivery")?,
            payload: self.raw("payload").map_or_else(Json::null, Json::from_raw),
            status,
            event: self.raw("event").map(ToOwned::to_owned),
            confirm: self.get("confirm")?.unwrap_or(false),
        })
    }

    fn duration(&self, name: &str, least: Duration, most: Duration) -> Read<Option<Duration>> {
        let Some(text) = self.get::<String>(name)? else { return Ok(None) };
        let duration = crate::time::parse_duration(&text).map_err(|bad| format!("{name}: {bad}"))?;
        within(name, duration, least, most)?;
        Ok(Some(duration))
    }

    fn error(&self, reason: String) -> FrameError {
        let text = |name| self.get::<String>(name).ok().flatten();
        FrameError {
            reason,
            op: text("op"),
            sub: text("sub"),
            seq: self.get("seq").ok().flatten(),
            delivery: text("delivery"),
            call: text("call"),
        }
    }
}

pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
const SEQ_RULE: &str = "seq must be an integer from 1 to 9007199254740991, dense per producer";

fn output(index: usize, raw: &RawValue) -> Read<Output> {
    let members: Members<'_> =
        serde_json::from_str(raw.get()).map_err(|error| sentence(&format!("publish[{index}]"), &brief(&error)))?;
    Ok(Draft::parse(members.raw("event"), members.raw("payload"), members.raw("routing")))
}

fn check_call(call: &str) -> Read<()> {
    if (1..=128).contains(&call.chars().count()) { Ok(()) } else { Err("call must be 1 to 128 characters".into()) }
}

pub(super) fn within(name: &str, value: Duration, least: Duration, most: Duration) -> Read<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let [least, most] = [least, most].map(crate::time::format_duration);
    Err(format!("{name} must lie between {least} and {most}"))
}

pub(super) fn credit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Option::<CreditValue>::deserialize(deserializer).map(|credit| credit.map(|credit| credit.0))
}

pub(super) fn credit_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    CreditValue::deserialize(deserializer).map(|credit| credit.0)
}

struct CreditValue(u32);

impl<'de> Deserialize<'de> for CreditValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = "must be an integer from 0 to 2147483647";
        let value = u32::deserialize(deserializer).map_err(|_| D::Error::custom(rule))?;
        if value > MAX_CREDIT { Err(D::Error::custom(rule)) } else { Ok(Self(value)) }
    }
}

pub(super) fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let class = String::deserialize(deserializer)?;
    if is_class(&class) { Ok(class) } else { Err(D::Error::custom("must be 1 to 64 of a-z and _")) }
}

pub(super) fn is_class(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Somebody may wait for the answer to a frame that settles: one that settles
/// nothing has none.
fn named(deliveries: &[String]) -> Read<()> {
    if deliveries.is_empty() { Err("deliveries must name at least one delivery".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Timestamp, frame::From};

    fn fault(text: &str) -> FrameError {
        ClientFrame::parse(text).unwrap_err()
    }

    #[test]
    fn op_stands_anywhere_and_unknown_members_are_ignored() {
        let frame = ClientFrame::parse(r#"{"agent":"/a","x":[1],"op":"hello"}"#).unwrap();
        assert!(matches!(frame, ClientFrame::Hello(hello) if hello.agent.as_str() == "/a"));
        let frame = ClientFrame::parse(r#"{"op":"bye"}"#).unwrap();
        assert!(matches!(frame, ClientFrame::Bye));
    }

    #[test]
    fn malformed_frames_are_told_with_what_they_had() {
        for (text, word) in [
            ("", "JSON"),
            ("[]", "object"),
            ("{}", "op"),
            (r#"{"op":"bye","op":"bye"}"#, "twice"),
            (r#"{"op":"bye","\u006fp":"bye"}"#, "twice"),
            (r#"{"op":"fly"}"#, "unknown"),
            (r#"{"op":5}"#, "op"),
            (r#"{"op":"hello"}"#, "agent"),
            (r#"{"op":"credit","sub":"s","add":-1}"#, "2147483647"),
            (r#"{"op":"credit","sub":"s","add":18446744073709551616}"#, "2147483647"),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"credit":2147483648}"#, "2147483647"),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"ack_wait":"1ms"}"#, "ack_wait"),
            (r#"{"op":"subscribe","sub":"s","topics":[]}"#, "topics"),
            (r#"{"op":"subscribe","sub":"","topics":["t"]}"#, "sub"),
            (r#"{"op":"nack","delivery":"d","class":"Bad Class"}"#, "class"),
            (r#"{"op":"nack","delivery":"d","class":"timeout","delay":"25h"}"#, "delay"),
            (r#"{"op":"publish","seq":0}"#, "seq"),
            (r#"{"op":"publish","seq":1.5}"#, "seq"),
            (r#"{"op":"ack","deliveries":[]}"#, "at least one"),
            (r#"{"op":"release","deliveries":[]}"#, "at least one"),
            (r#"{"op":"ack","deliveries":["a","b"],"publish":[{}]}"#, "exactly one"),
        ] {
            let error = fault(text);
            assert!(error.reason.contains(word), "{text}: {}", error.reason);
        }
        let error = fault(r#"{"op":"request","seq":7,"call":""}"#);
        assert_eq!((error.op.as_deref(), error.seq), (Some("request"), Some(7)));
    }

    #[test]
    fn a_faulty_event_is_a_faulty_draft_not_a_faulty_frame() {
        let frame = ClientFrame::parse(r#"{"op":"publish","seq":1,"event":{},"routing":{"topic":"t"}}"#).unwrap();
        let ClientFrame::Publish(publish) = frame else { panic!("not a publish") };
        assert_eq!(publish.draft.unwrap_err().code, Code::InvalidEnvelope);
    }

    #[test]
    fn from_has_four_forms() {
        for (text, expected) in [
            (r#""start""#, From::Start),
            (r#""new""#, From::New),
            (r#"{"time":"1970-01-01T00:00:00Z"}"#, From::Time(Timestamp::from_millis(0))),
            (r#"{"position":"p"}"#, From::Position("p".into())),
        ] {
            assert_eq!(serde_json::from_str::<From>(text).unwrap(), expected);
        }
    }
}
