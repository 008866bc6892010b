//! Records as messages: an event in CloudEvents' binary mode, Handbell's own
//! words as further headers, the payload byte for byte.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::HeaderMap;
use bytes::Bytes;
use handbell_backend::{Class, Dedup, Headers, Outgoing, Partition, PublishError, Record};
use handbell_protocol::{
    Timestamp, Topic,
    cloudevents::{Origin, SCALARS, Style, from_message, to_headers},
};

use crate::{
    core::Core,
    headers::{add, decode, encode},
    stream::Stream,
};

/// The topic in the envelope, where it isn't the channel's.
const TOPIC: &str = "hb-topic";
/// The digest of the content, beside a dedup key.
const DIGEST: &str = "hb-digest";
const MESSAGE_ID: &str = "Nats-Msg-Id";
const TTL: &str = "Nats-TTL";
/// How many bytes Handbell's own headers may add to an event.
pub(crate) const HEADERS_ALLOWANCE: usize = 65_536;
/// What of that is left to dedup key, topic and lifetime.
const OURS: usize = 2_048;
/// The longest dedup key that stands in a message as it is.
const PLAIN_KEY: usize = 160;

/// A message ready to be sent.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) stream: Arc<Stream>,
    pub(crate) partition: Partition,
    pub(crate) id: String,
    pub(crate) digest: Option<u64>,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    /// Its bytes, about.
    pub(crate) size: usize,
}

/// A message as it lies in a stream.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// Encodes a record, and refuses one that is larger than `max_event`.
pub(crate) fn encode_record(core: &Core, out: &Outgoing, max_event: usize) -> Result<Encoded, PublishError> {
    let Some(stream) = core.stream_for(out.class, out.envelope.routing.lane(), &out.topic) else {
        return Err(PublishError::Refused(format!("the topic {} isn't declared as shared", out.topic)));
    };
    let partitions = core.options.partitions.get();
    if out.partition.0 >= partitions {
        return Err(PublishError::Refused(format!("partition {} of {partitions} is asked for", out.partition)));
    }
    let mut headers = HeaderMap::new();
    let mut size = out.envelope.payload.as_bytes().len();
    for (name, value) in to_headers(&out.envelope, Style::Nats) {
        size += name.len() + value.len() + 4;
        add(&mut headers, &name, &value)?;
    }
    bounded(size, max_event)?;
    let own = own_headers(&mut headers, &out.headers)?;
    bounded(own, HEADERS_ALLOWANCE - OURS)?;
    lay(core, out, &mut headers)?;
    Ok(Encoded {
        stream: Arc::clone(stream),
        partition: out.partition,
        id: out.envelope.event.id.clone(),
        digest: out.dedup.as_ref().and_then(|dedup| dedup.digest),
        subject: stream.subject(out.partition, &out.topic),
        headers,
        payload: Bytes::copy_from_slice(out.envelope.payload.as_bytes()),
        size: size + own,
    })
}

fn own_headers(headers: &mut HeaderMap, own: &Headers) -> Result<usize, PublishError> {
    let mut size = 0;
    for (name, value) in own.iter() {
        let value = encode(value);
        size += name.len() + value.len() + 4;
        add(headers, name, &value)?;
    }
    Ok(size)
}

/// Adds what the broker, or a later reader, must know of the record's place.
fn lay(core: &Core, out: &Outgoing, headers: &mut HeaderMap) -> Result<(), PublishError> {
    if let Some(topic) = out.envelope.routing.topic.as_ref().filter(|_| !matches!(out.class, Class::Ev | Class::Shared))
    {
        add(headers, TOPIC, topic.as_str())?;
    }
    if let Some(Dedup { key, digest }) = &out.dedup {
        add(headers, MESSAGE_ID, &message_id(key))?;
        if let Some(digest) = digest {
            add(headers, DIGEST, &format!("{digest:x}"))?;
        }
    }
    match core.options.age(out.class, &out.topic) {
        Some(age) => add(headers, TTL, &format!("{}s", seconds(age))),
        None => Ok(()),
    }
}

/// Lifetimes are whole seconds, one at least.
fn seconds(age: Duration) -> u64 {
    age.as_secs().max(1)
}

/// A dedup key as the broker keeps it: as it is, or its hash where it is long
/// or can't stand in a header.
fn message_id(key: &str) -> String {
    const HASHED: &str = "b3:";
    let plain = key.len() <= PLAIN_KEY && key.bytes().all(|byte| byte.is_ascii_graphic()) && !key.starts_with(HASHED);
    match plain {
        true => key.to_owned(),
        false => format!("{HASHED}{}", blake3::hash(key.as_bytes()).to_hex()),
    }
}

fn bounded(size: usize, max: usize) -> Result<(), PublishError> {
    if size > max { Err(PublishError::TooLarge { size, max }) } else { Ok(()) }
}

/// The digest beside a stored dedup key.
pub(crate) fn digest(headers: &HeaderMap) -> Option<u64> {
    u64::from_str_radix(headers.get(DIGEST)?.as_str(), 16).ok()
}

/// The record that a message is; `None` where its subject is none of this
/// class and lane. Whatever an outside client has written is a record too.
pub(crate) fn decode_record(stream: &Stream, raw: &Raw) -> Result<Option<Record>, String> {
    let Some((partition, topic)) = stream.place(&raw.subject) else { return Ok(None) };
    let envelope_topic = match stream.class {
        Class::Ev | Class::Shared => Some(topic.clone()),
        _ => raw.headers.get(TOPIC).and_then(|topic| Topic::parse(topic.as_str()).ok()),
    };
    let id = format!("{}-{}", stream.name, raw.sequence);
    let origin = Origin { topic: envelope_topic.as_ref(), id: &id, source: "/nats", at: raw.time, partition_key: None };
    let pairs =
        raw.headers.iter().filter_map(|(name, values)| Some((name.as_ref(), values.last()?.as_str().as_bytes())));
    let envelope = from_message(pairs, &raw.payload, &origin).map_err(|error| error.to_string())?;
    Ok(Some(Record {
        position: stream.position(partition, raw.sequence, raw.time),
        topic,
        envelope: Arc::new(envelope),
        headers: words(&raw.headers)?,
    }))
}

/// Handbell's own words among the headers.
fn words(headers: &HeaderMap) -> Result<Headers, String> {
    let mut words = BTreeMap::new();
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix));
        let is = |other: &&str| name.eq_ignore_ascii_case(other);
        if !["ce-", "ce_", "nats-"].into_iter().any(begins) && ![TOPIC, DIGEST, SCALARS, "content-type"].iter().any(is)
        {
            words.insert(name, values.last().map(|value| decode(value.as_str())).unwrap_or_default());
        }
    }
    if words.is_empty() {
        return Ok(Headers::default());
    }
    let value = serde_json::to_value(words).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_as_it_is_unless_it_cannot() {
        assert_eq!(message_id("/a#n/17"), "/a#n/17");
        assert!(message_id("größer").starts_with("b3:"));
        assert!(message_id("b3:x").len() > 60, "no key can pretend to be a hash");
        assert_ne!(message_id(&"x".repeat(600)), message_id(&"x".repeat(599)));
    }
}
