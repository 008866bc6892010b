//! Records as they are stored: the event without its payload as JSON (the
//! head), the payload byte for byte, Handbell's headers as JSON where there are
//! any.

use std::sync::Arc;

use handbell_backend::{Channel, Headers, Outgoing, Partition, Position, PublishError, Record};
use handbell_protocol::{
    Envelope, Json, Namespace, Topic,
    event::{Event, Routing},
};
use serde::{Deserialize, Serialize};

use crate::{
    dedup::{DedupKey, dedup_key},
    error::ReadFailure,
};

/// How many bytes Handbell's own headers may add to an event.
const HEADERS_ALLOWANCE: usize = 65_536;

/// What most heads fit in, in bytes.
const HEAD_ROOM: usize = 512;

/// A record ready to be stored: all that costs time is done.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) channel: Channel,
    pub(crate) partition: Partition,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) headers: Headers,
    pub(crate) head: Vec<u8>,
    pub(crate) header_text: Option<Vec<u8>>,
    pub(crate) dedup: Option<DedupKey>,
    pub(crate) digest: Option<u64>,
}

#[derive(Serialize)]
struct HeadOut<'a> {
    event: &'a Event,
    routing: &'a Routing,
}

#[derive(Deserialize)]
struct HeadIn {
    event: Event,
    routing: Routing,
}

/// The ID alone, for what is stored already.
#[derive(Deserialize)]
struct IdIn {
    event: JustId,
}

#[derive(Deserialize)]
struct JustId {
    id: String,
}

impl Encoded {
    /// Encodes a record, and refuses one that is larger than `max_event`.
    pub(crate) fn of(out: Outgoing, namespace: &Namespace, max_event: usize) -> Result<Self, PublishError> {
        let refused = |error: serde_json::Error| PublishError::Refused(format!("it can't be written: {error}"));
        let mut head = Vec::with_capacity(HEAD_ROOM);
        serde_json::to_writer(&mut head, &HeadOut { event: &out.envelope.event, routing: &out.envelope.routing })
            .map_err(refused)?;
        bounded(head.len() + out.envelope.payload.as_bytes().len(), max_event)?;
        let header_text = match out.headers.is_empty() {
            true => None,
            false => Some(serde_json::to_vec(&out.headers).map_err(refused)?),
        };
        bounded(header_text.as_ref().map_or(0, Vec::len), HEADERS_ALLOWANCE)?;
        Ok(Self {
            channel: out.channel(),
            partition: out.partition,
            head,
            header_text,
            digest: out.dedup.as_ref().and_then(|dedup| dedup.digest),
            dedup: out.dedup.map(|dedup| dedup_key(namespace, out.class, &dedup.key)),
            envelope: out.envelope,
            headers: out.headers,
        })
    }

    /// Its bytes as stored, keys and numbers aside.
    pub(crate) fn bytes(&self) -> usize {
        self.head.len() + self.envelope.payload.as_bytes().len() + self.header_text.as_ref().map_or(0, Vec::len)
    }
}

fn bounded(size: usize, max: usize) -> Result<(), PublishError> {
    if size > max { Err(PublishError::TooLarge { size, max }) } else { Ok(()) }
}

/// A record from its stored parts.
pub(crate) fn decode(
    position: Position,
    topic: Topic,
    head: &[u8],
    payload: &[u8],
    headers: Option<&[u8]>,
) -> Result<Record, ReadFailure> {
    let bad = |source| ReadFailure::Record { offset: position.offset, source };
    let HeadIn { event, routing } = serde_json::from_slice(head).map_err(bad)?;
    let payload = Json::from_bytes(payload).map_err(bad)?;
    let headers = headers.map_or(Ok(Headers::default()), serde_json::from_slice).map_err(bad)?;
    Ok(Record { position, topic, envelope: Arc::new(Envelope { event, payload, routing }), headers })
}

/// The event's ID from a stored head.
pub(crate) fn id_of(head: &[u8]) -> Result<String, serde_json::Error> {
    serde_json::from_slice::<IdIn>(head).map(|head| head.event.id)
}
