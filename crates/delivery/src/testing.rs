//! What the tests of this crate's cores are fed with.

use std::{collections::BTreeMap, sync::Arc};

use handbell_backend::{Class, Headers, Incarnation, Partition, Position, Record};
use handbell_protocol::{
    Envelope, Json, Priority, Timestamp, Topic,
    event::{Event, Routing},
};

/// A record of topic `t`, regular lane, whose event's ID is `e` and its offset.
pub(crate) fn record(offset: u64) -> Record {
    keyed(offset, None, Priority::Normal)
}

pub(crate) fn keyed(offset: u64, key: Option<&str>, priority: Priority) -> Record {
    let topic = Topic::parse("t").unwrap();
    let event = Event {
        id: format!("e{offset}"),
        event_type: "ThingEvent".into(),
        source: "/a".into(),
        timestamp: Timestamp::from_millis(0).into(),
        version: "1.0".into(),
        correlation_id: "c".into(),
        causation_id: None,
        kind: None,
        extensions: BTreeMap::new(),
    };
    let partition_key = key.map(ToOwned::to_owned);
    let routing = Routing { topic: Some(topic.clone()), to: None, partition_key, priority, hops: 0 };
    let position = Position {
        log: "".into(),
        incarnation: Incarnation(1),
        class: Class::Ev,
        lane: priority.lane(),
        partition: Partition(0),
        offset,
        time: Timestamp::from_millis(0),
    };
    let envelope = Arc::new(Envelope { event, payload: Json::null(), routing });
    Record { position, topic, envelope, headers: Headers::default() }
}

/// The same with another type.
pub(crate) fn of_type(mut record: Record, event_type: &str) -> Record {
    Arc::make_mut(&mut record.envelope).event.event_type = event_type.into();
    record
}

/// The same with a header.
pub(crate) fn with(mut record: Record, name: &'static str, value: &str) -> Record {
    record.headers.set(name, value);
    record
}
