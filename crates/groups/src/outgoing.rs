//! Records that the group writes: into its retry channel and the dead letter
//! queue. And the way back: a record of the retry channel as it lay on its topic.
//!
//! A dedup key is (event, group, failed attempt, place that it leaves): never
//! the original's, the same whoever writes it, another one for two events
//! that brought the same ID.

use std::sync::Arc;

use handbell_backend::{Class, Dedup, Headers, Outgoing, Partition, Position, Record, header};
use handbell_protocol::{Segment, Timestamp, Topic};

/// In the retry channel: the place that this record took the place of.
const FROM: &str = "hb-from";
/// In the retry channel: the consumer was lost, so it is handed out alone.
const LOST: &str = "hb-lost";

/// A failure, as it travels.
pub(crate) struct Failed<'a> {
    pub(crate) group: &'a Segment,
    pub(crate) record: &'a Record,
    /// Where the record lies now.
    pub(crate) place: &'a Position,
    pub(crate) failures: u32,
}

/// What a record of the retry channel says.
pub(crate) struct Retried {
    /// As it lay on its topic.
    pub(crate) record: Arc<Record>,
    /// The place that it left.
    pub(crate) from: Option<Position>,
    pub(crate) failures: u32,
    pub(crate) due: Timestamp,
    pub(crate) lost: bool,
}

impl Failed<'_> {
    pub(crate) fn retry(&self, due: Timestamp, lost: bool) -> Box<Outgoing> {
        let mut headers = self.record.headers.clone();
        headers.set(header::DUE, due.as_millis().to_string());
        headers.set(header::ATTEMPT, self.failures.to_string());
        headers.set(header::ORIGIN, self.record.position.to_string());
        headers.set(FROM, self.place.to_string());
        if lost {
            headers.set(LOST, "true");
        }
        let topic = Topic::parse(self.group.as_str()).expect("a group's name is a topic of one segment");
        self.outgoing(Class::Retry, topic, headers)
    }

    pub(crate) fn dead_letter(&self, class: &str, reason: &str) -> Box<Outgoing> {
        let origin = &self.record.position;
        let mut headers = self.record.headers.clone();
        headers.set(header::ORIGIN, origin.to_string());
        headers.set(header::DLQ_TOPIC, self.record.topic.as_str());
        headers.set(header::DLQ_PARTITION, origin.partition.to_string());
        headers.set(header::DLQ_OFFSET, origin.offset.to_string());
        headers.set(header::DLQ_GROUP, self.group.as_str());
        headers.set(header::DLQ_COUNT, self.failures.to_string());
        headers.set(header::DLQ_MESSAGE, reason);
        headers.set(header::DLQ_CLASS, class);
        self.outgoing(Class::Dlq, self.record.topic.clone(), headers)
    }

    fn outgoing(&self, class: Class, topic: Topic, headers: Headers) -> Box<Outgoing> {
        let partition: Partition = self.place.partition;
        let envelope = Arc::clone(&self.record.envelope);
        Box::new(Outgoing { class, topic, partition, envelope, headers, dedup: Some(self.dedup()) })
    }

    fn dedup(&self) -> Dedup {
        let Position { class, lane, partition, incarnation, offset, .. } = self.place;
        let (event, group, attempt) = (&self.record.envelope.event.id, self.group, self.failures);
        let place = format!("{}.{}.{partition}.{:x}.{offset:x}", class.as_str(), lane.as_str(), incarnation.0);
        Dedup { key: format!("{event}/{group}/{attempt}/{place}"), digest: None }
    }
}

/// Reads a record of the retry channel. What another writer left out has the
/// mildest meaning: it has not failed, it is due, it lay nowhere before.
pub(crate) fn retried(record: &Record) -> Retried {
    let headers = &record.headers;
    let number = |name| headers.get(name).and_then(|text| text.parse::<i64>().ok());
    let position = |name| headers.get(name).and_then(|text| text.parse::<Position>().ok());
    let mut original = Record {
        position: position(header::ORIGIN).unwrap_or_else(|| record.position.clone()),
        topic: record.envelope.routing.topic.clone().unwrap_or_else(|| record.topic.clone()),
        envelope: Arc::clone(&record.envelope),
        headers: headers.clone(),
    };
    for name in [header::DUE, header::ATTEMPT, header::ORIGIN, FROM, LOST] {
        original.headers.remove(name);
    }
    Retried {
        record: Arc::new(original),
        from: position(FROM),
        failures: number(header::ATTEMPT).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        due: number(header::DUE).map_or(record.position.time, Timestamp::from_millis),
        lost: headers.get(LOST).is_some(),
    }
}

/// Text that fits a header and the cursor: printable, at most `max` bytes.
pub(crate) fn printable(text: &str, max: usize) -> String {
    let mut printable = String::with_capacity(text.len().min(max));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if printable.len() + c.len_utf8() > max {
            break;
        }
        printable.push(c);
    }
    printable
}

/// Whether a record may not be handed out any more.
pub(crate) fn is_expired(record: &Record, now: Timestamp) -> bool {
    let expiry = record.headers.get(header::EXPIRY);
    expiry.and_then(|text| Timestamp::parse(text).ok()).is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use handbell_backend::Incarnation;
    use handbell_protocol::{
        Envelope, Json, Lane, Priority,
        event::{Event, Routing},
    };

    use super::*;

    fn record(offset: u64) -> Record {
        let topic = Topic::parse("project.tasks").unwrap();
        let event = Event {
            id: "an-id-that-an-agent-brought".into(),
            event_type: "TaskEvent".into(),
            source: "/a".into(),
            timestamp: Timestamp::from_millis(0).into(),
            version: "1.0".into(),
            correlation_id: "c".into(),
            causation_id: None,
            kind: None,
            extensions: BTreeMap::new(),
        };
        let routing = Routing {
            topic: Some(topic.clone()),
            to: None,
            partition_key: Some("k".into()),
            priority: Priority::High,
            hops: 0,
        };
        let position = Position {
            log: "".into(),
            incarnation: Incarnation(1),
            class: Class::Ev,
            lane: Lane::Express,
            partition: Partition(3),
            offset,
            time: Timestamp::from_millis(5),
        };
        let envelope = Arc::new(Envelope { event, payload: Json::default(), routing });
        let headers = Headers::default().with(header::CALL, "c1");
        Record { position, topic, envelope, headers }
    }

    fn failed<'a>(group: &'a Segment, record: &'a Record) -> Failed<'a> {
        Failed { group, record, place: &record.position, failures: 2 }
    }

    #[test]
    fn a_record_of_the_retry_channel_reads_back_as_it_lay_on_its_topic() {
        let (group, original) = (Segment::parse("g").unwrap(), record(7));
        let due = Timestamp::from_millis(99);
        let written = failed(&group, &original).retry(due, true);
        assert_eq!((written.class, written.topic.as_str(), written.partition), (Class::Retry, "g", Partition(3)));
        let position = Position { class: Class::Retry, offset: 1, ..original.position.clone() };
        let stored = Record { position, topic: written.topic, envelope: written.envelope, headers: written.headers };
        let back = retried(&stored);
        assert_eq!(*back.record, original);
        assert_eq!((back.failures, back.due, back.lost), (2, due, true));
        assert_eq!(back.from, Some(original.position));
    }

    /// Schedule 1, and the same ID brought twice.
    #[test]
    fn a_dedup_key_is_of_event_group_attempt_and_place_whoever_writes_it() {
        let key = |group: &str, record: &Record, failures| {
            let group = Segment::parse(group).unwrap();
            let failed = Failed { failures, ..failed(&group, record) };
            failed.retry(Timestamp::from_millis(1), false).dedup.unwrap().key
        };
        let one = key("g", &record(7), 1);
        assert_eq!(one, key("g", &record(7), 1));
        let others = [key("h", &record(7), 1), key("g", &record(7), 2), key("g", &record(8), 1)];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
        assert!(one.starts_with("an-id-that-an-agent-brought/g/1/"));
    }

    #[test]
    fn the_longest_dedup_key_is_within_its_bound() {
        let mut record = record(u64::MAX);
        let mut envelope = (*record.envelope).clone();
        envelope.event.id = "x".repeat(255);
        record.envelope = Arc::new(envelope);
        record.position.incarnation = Incarnation(u64::MAX);
        let group = Segment::parse(&"g".repeat(128)).unwrap();
        let failed = Failed { failures: u32::MAX, ..failed(&group, &record) };
        assert!(failed.dead_letter("c", "r").dedup.unwrap().key.len() <= 600);
    }

    #[test]
    fn reasons_are_printable_and_cut_at_a_character() {
        assert_eq!(printable("a\nb", 10), "a b");
        assert_eq!(printable("äää", 5), "ää");
    }

    #[test]
    fn a_foreign_record_in_the_retry_channel_counts_as_fresh_and_due() {
        let back = retried(&record(1));
        assert_eq!((back.failures, back.due, back.from, back.lost), (0, Timestamp::from_millis(5), None, false));
    }
}
