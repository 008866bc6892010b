//! Records on their way into a shared topic and out of it, pure.

use std::{collections::BTreeSet, sync::Arc};

use handbell_backend::{
    Class, Dedup, Headers, Outgoing, Partition, PartitionCount, Position, PublishError, Record, header, partition_of,
};
use handbell_protocol::{Envelope, Json, Topic};

use crate::{DeadLetter, dead_letter};

/// Who gives up what can't be forwarded, as its dead letter names it.
const RECEIVER: &str = "shared";

/// Sends what was published on a shared topic to the topic itself.
pub(crate) fn redirected(mut batch: Vec<Outgoing>, shared: &BTreeSet<Topic>) -> Vec<Outgoing> {
    for out in batch.iter_mut().filter(|out| out.class == Class::Ev && shared.contains(&out.topic)) {
        out.class = Class::Shared;
        out.partition = Partition(0);
    }
    batch
}

/// A shared topic's record as groups read it: the same event, by its key.
pub(super) fn forwarded(record: &Record, partitions: PartitionCount) -> Outgoing {
    let event = &record.envelope;
    let key = event.routing.partition_key.as_deref().unwrap_or(&event.event.id);
    Outgoing {
        class: Class::Ev,
        topic: record.topic.clone(),
        partition: partition_of(key, partitions),
        envelope: Arc::clone(event),
        headers: headers(record),
        dedup: Some(Dedup { key: key_of(&record.position), digest: None }),
    }
}

/// Handbell's own words aren't an outside client's to say, but for how long an
/// event is of use.
fn headers(record: &Record) -> Headers {
    let headers = Headers::default().with(header::ORIGIN, record.position.to_string());
    match record.headers.get(header::EXPIRY) {
        Some(expiry) => headers.with(header::EXPIRY, expiry),
        None => headers,
    }
}

/// By what a second forwarding is recognised.
fn key_of(position: &Position) -> String {
    format!("shared/{}/{:x}/{:x}", position.log, position.incarnation.0, position.offset)
}

/// The place in the shared topic of a record that was forwarded from it.
pub(super) fn origin(record: &Record) -> Option<Position> {
    let position: Position = record.headers.get(header::ORIGIN)?.parse().ok()?;
    (position.class == Class::Shared).then_some(position)
}

/// The dead letter of a record that the partitioned channel refuses for good.
/// What is too large for it goes without its payload, which lies where it was.
pub(super) fn buried(record: &Record, why: &PublishError) -> Outgoing {
    let letter =
        DeadLetter { attempts: 1, reason: format!("it can't be forwarded: {why}"), class: "permanent_failure".into() };
    let mut out = dead_letter::outgoing(record, RECEIVER, &letter);
    out.headers.remove(header::EXPIRY);
    if let PublishError::TooLarge { .. } = why {
        out.envelope = Arc::new(Envelope { payload: Json::null(), ..(*out.envelope).clone() });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{keyed, record, with};
    use handbell_protocol::Priority;

    fn shared() -> BTreeSet<Topic> {
        [Topic::parse("t").unwrap()].into()
    }

    fn in_shared(mut record: Record) -> Record {
        record.position = Position { class: Class::Shared, log: "t".into(), ..record.position };
        record
    }

    #[test]
    fn only_events_on_shared_topics_go_another_way() {
        let out = forwarded(&record(1), PartitionCount::default());
        let elsewhere = Outgoing { topic: Topic::parse("u").unwrap(), ..out.clone() };
        let dead = Outgoing { class: Class::Dlq, ..out.clone() };
        let sent = redirected(vec![out, elsewhere, dead], &shared());
        let places: Vec<_> = sent.iter().map(|out| out.class).collect();
        assert_eq!(places, [Class::Shared, Class::Ev, Class::Dlq]);
        assert_eq!(sent[0].partition, Partition(0));
    }

    #[test]
    fn what_is_forwarded_says_where_it_lay_and_lies_by_its_key() {
        let record = in_shared(with(keyed(7, Some("k"), Priority::High), "hb-call", "forged"));
        let out = forwarded(&record, PartitionCount::default());
        assert_eq!(out.partition, partition_of("k", PartitionCount::default()));
        assert_eq!(out.dedup.as_ref().unwrap().key, "shared/t/1/7");
        assert_eq!(out.headers.get("hb-call"), None, "an outside client can't speak for Handbell");
        let read = Record { headers: out.headers, ..keyed(99, Some("k"), Priority::High) };
        assert_eq!(origin(&read), Some(record.position));
    }

    #[test]
    fn an_event_that_is_too_large_leaves_its_payload_where_it_is() {
        let out = buried(&in_shared(record(3)), &PublishError::TooLarge { size: 9, max: 8 });
        assert_eq!((out.class, out.headers.get(header::DLQ_OFFSET)), (Class::Dlq, Some("3")));
        assert_eq!(out.envelope.payload.as_str(), "null");
    }
}
