//! The mapping both ways, and what other producers write.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    event::{Envelope, Event, EventTime, Kind, Priority, Routing, Scalar, Target},
    json::Json,
};

fn origin(topic: Option<&Topic>) -> Origin<'_> {
    Origin { topic, id: "fallback-id", source: "kafka:t", at: Timestamp::from_millis(0), partition_key: None }
}

fn read(headers: &[(&str, &str)], body: &[u8]) -> Envelope {
    let topic = Topic::parse("t").unwrap();
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    from_message(headers, body, &origin(Some(&topic))).unwrap()
}

fn there_and_back(envelope: &Envelope, style: Style) -> Envelope {
    let headers = to_headers(envelope, style);
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    from_message(headers, envelope.payload.as_bytes(), &origin(envelope.routing.topic.as_ref())).unwrap()
}

const CONTRACT: &str = r#"{"event":{"id":"evt-20251129-143000-abc123","type":"TaskCompletedEvent","source":"/backend-architect","timestamp":"2025-11-29T14:30:00Z","version":"1.0","correlation_id":"c 1","causation_id":"evt-0"},"payload":{ "task_id" : 1e400 },"routing":{"topic":"project.tasks","partition_key":"project-xyz","priority":"normal"}}"#;

#[test]
fn the_contract_has_the_documented_headers() {
    let envelope: Envelope = serde_json::from_str(CONTRACT).unwrap();
    let expected = [
        ("specversion", "1.0"),
        ("id", "evt-20251129-143000-abc123"),
        ("type", "TaskCompletedEvent"),
        ("source", "/backend-architect"),
        ("time", "2025-11-29T14:30:00Z"),
        ("eventversion", "1.0"),
        ("correlationid", "c 1"),
        ("causationid", "evt-0"),
        ("priority", "normal"),
        ("partitionkey", "project-xyz"),
    ];
    let kafka: BTreeMap<_, _> = to_headers(&envelope, Style::Kafka).into_iter().collect();
    let nats: BTreeMap<_, _> = to_headers(&envelope, Style::Nats).into_iter().collect();
    for (name, value) in expected {
        assert_eq!(kafka.get(&format!("ce_{name}")).map(String::as_str), Some(value));
        assert_eq!(nats.get(&format!("ce-{name}")), Some(&value.replace(' ', "%20")));
    }
    assert_eq!(kafka["content-type"], "application/json");
    assert_eq!(nats["ce-datacontenttype"], "application/json");
    assert_eq!((kafka.len(), nats.len()), (expected.len() + 1, expected.len() + 1));
}

#[test]
fn another_cloud_events_producer_is_understood_in_binary_mode() {
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_type", "com.example.thing"),
        ("ce_source", "urn:x"),
        ("ce_time", "2025-11-29T14:30:00.123456Z"),
        ("ce_subject", "s"),
        ("ce_retries", "5"),
        ("ce_Odd-Name", "dropped"),
        ("ce_to", "/somebody"),
        ("content-type", "application/json; charset=utf-8"),
        ("unrelated", "x"),
    ];
    let envelope = read(&headers, b"{ \"a\": 1 }");
    assert_eq!(envelope.event.event_type, "com.example.thing");
    assert_eq!(envelope.event.timestamp.to_string(), "2025-11-29T14:30:00.123456Z");
    assert_eq!(envelope.event.correlation_id, "1");
    assert_eq!(envelope.event.version, "1.0");
    let text = |text: &str| Scalar::Text(text.into());
    assert_eq!(
        envelope.event.extensions,
        BTreeMap::from([("subject".into(), text("s")), ("retries".into(), text("5"))])
    );
    assert_eq!(envelope.payload.as_str(), "{ \"a\": 1 }");
    assert_eq!(envelope.routing.topic.as_ref().map(Topic::as_str), Some("t"));
    assert_eq!(envelope.routing.to, None);
}

#[test]
fn header_names_may_be_in_any_case() {
    let envelope = read(&[("Ce-Id", "1"), ("CE-Type", "a%20b"), ("Content-Type", "text/plain")], b"5");
    assert_eq!((envelope.event.id.as_str(), envelope.event.event_type.as_str()), ("1", "a b"));
    assert_eq!(envelope.payload.as_str(), "\"5\"", "what calls itself text is text");
    assert_eq!(envelope.event.extensions["contenttype"], Scalar::Text("text/plain".into()));
}

#[test]
fn what_is_missing_or_unfit_falls_back() {
    let long = "x".repeat(256);
    let topic = Topic::parse("t").unwrap();
    let headers = [
        ("ce_id", long.as_str()),
        ("ce_type", ""),
        ("ce_source", "\u{7}"),
        ("ce_time", "yesterday"),
        ("ce_correlationid", ""),
        ("ce_kind", "wish"),
        ("ce_priority", "urgent"),
        ("ce_hops", "-1"),
    ];
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let origin = Origin { partition_key: Some("k"), ..origin(Some(&topic)) };
    let envelope = from_message(headers, b"", &origin).unwrap();
    assert_eq!(
        serde_json::to_string(&envelope).unwrap(),
        r#"{"event":{"id":"fallback-id","type":"MessageEvent","source":"kafka:t","timestamp":"1970-01-01T00:00:00.000Z","version":"1.0","correlation_id":"fallback-id"},"payload":null,"routing":{"topic":"t","partition_key":"k","priority":"normal"}}"#
    );
}

#[test]
fn members_of_other_producers_never_collide_with_the_envelopes_own() {
    let envelope = read(&[("ce_id", "1"), ("ce_version", "7"), ("ce_timestamp", "2025-11-29T14:30:00Z")], b"{}");
    assert_eq!(envelope.event.version, "7");
    assert_eq!(envelope.event.timestamp.to_string(), "2025-11-29T14:30:00Z");
    assert!(envelope.event.extensions.is_empty());
}

#[test]
fn structured_mode_is_told_by_its_media_type_or_by_its_looks() {
    let body = br#"{"specversion":"1.0","id":"1","type":"T","source":"s","retries":5,"ok":true,"none":null,"data": {"a" : 1e400}}"#;
    for headers in [
        &[("content-type", "application/cloudevents+json; charset=UTF-8")][..],
        &[],
        &[("content-type", "application/json")],
    ] {
        let envelope = read(headers, body);
        assert_eq!(envelope.event.event_type, "T");
        assert_eq!(envelope.payload.as_str(), r#"{"a" : 1e400}"#);
        let number = Scalar::Number(5.into());
        assert_eq!(
            envelope.event.extensions,
            BTreeMap::from([("retries".into(), number), ("ok".into(), Scalar::Bool(true))])
        );
    }
}

#[test]
fn structured_data_in_base64_is_json_text_or_bytes() {
    let event = |base64: &str, media_type: &str| {
        let body = format!(
            r#"{{"specversion":"1.0","id":"1","type":"T","source":"s","datacontenttype":"{media_type}","data_base64":"{base64}"}}"#
        );
        read(&[], body.as_bytes())
    };
    assert_eq!(event("eyJhIjogMX0=", "application/json").payload.as_str(), r#"{"a": 1}"#);
    assert_eq!(event("aGk=", "text/plain").payload.as_str(), r#""hi""#);
    let bytes = event("/wA=", "image/png");
    assert_eq!(bytes.payload.as_str(), r#"{"data_base64":"/wA="}"#);
    assert_eq!(bytes.event.extensions["contenttype"], Scalar::Text("image/png".into()));
}

#[test]
fn a_handbell_envelope_as_body_is_taken_as_what_it_is() {
    let body = br#"{"event":{"type":"T","agent_id":"/a","coordination_id":"c","timestamp":"2025-11-29T14:30:00Z","weight":2},"payload":[ 1 ],"routing":{"topic":"elsewhere","partition_key":"k","priority":3}}"#;
    let envelope = read(&[], body);
    assert_eq!(
        serde_json::to_string(&envelope).unwrap(),
        r#"{"event":{"id":"fallback-id","type":"T","source":"/a","timestamp":"2025-11-29T14:30:00Z","version":"1.0","correlation_id":"c","weight":2},"payload":[ 1 ],"routing":{"topic":"t","partition_key":"k","priority":"critical"}}"#
    );
}

#[test]
fn plain_json_is_a_payload_and_may_name_its_type() {
    let envelope = read(&[], br#"{"type":"OrderPlaced", "n":1}"#);
    assert_eq!(envelope.event.event_type, "OrderPlaced");
    assert_eq!(envelope.payload.as_str(), r#"{"type":"OrderPlaced", "n":1}"#);
    for body in [&b"[1]"[..], b"5", br#"{"type":5}"#, br#"{"event":"x"}"#] {
        let envelope = read(&[], body);
        assert_eq!(envelope.event.event_type, FALLBACK_TYPE);
        assert_eq!(envelope.payload.as_bytes(), body);
    }
}

#[test]
fn a_body_that_is_no_json_becomes_text_or_base64() {
    assert_eq!(read(&[], b"hello {").payload.as_str(), r#""hello {""#);
    assert_eq!(read(&[], b"\xff\x00").payload.as_str(), r#"{"data_base64":"/wA="}"#);
    assert_eq!(
        read(&[("content-type", "application/cloudevents+avro")], b"\xff").payload.as_str(),
        r#"{"data_base64":"/w=="}"#
    );
    assert_eq!(read(&[("content-type", "application/cloudevents+json")], b"{oops").payload.as_str(), r#""{oops""#);
}

#[test]
fn direct_work_says_whom_it_is_for() {
    let headers = |to: &'static str| [("ce_id", &b"1"[..]), ("ce_to", to.as_bytes())];
    let envelope = from_message(headers("pool:builders"), b"1", &origin(None)).unwrap();
    assert_eq!(envelope.routing.to, Some(Target::parse("pool:builders").unwrap()));
    assert_eq!(envelope.routing.topic, None);
    assert_eq!(from_message(headers("nobody"), b"1", &origin(None)), Err(Unreadable::NoDestination));
}

// === round trips ===

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        any::<bool>().prop_map(Scalar::Bool),
        any::<i64>().prop_map(|n| Scalar::Number(n.into())),
        any::<u64>().prop_map(|n| Scalar::Number(n.into())),
        prop::num::f64::NORMAL.prop_map(|n| Scalar::Number(serde_json::Number::from_f64(n).unwrap())),
        "\\PC{0,20}|[\r\n\t%\" ]{0,5}|true|5".prop_map(Scalar::Text),
    ]
}

/// Given names: 1–255 printable characters.
fn given() -> impl Strategy<Value = String> {
    "\\PC{1,30}|[a-z%\" -]{1,10}".prop_filter("printable", |text| crate::event::id::may_be_given(text))
}

fn event() -> impl Strategy<Value = Event> {
    let times = ["2025-11-29T14:30:00Z", "2025-11-29T14:30:00.123456789+05:30", "2016-12-31T23:59:59.5Z"];
    let kinds = [None, Some(Kind::Command), Some(Kind::Event), Some(Kind::Query), Some(Kind::Notification)];
    let own = (given(), given(), given(), prop::sample::select(times.to_vec()), given(), given());
    let names = "[a-z0-9]{1,20}".prop_filter("the envelope's own", |name| {
        !is_reserved(name) && !["version", "timestamp"].contains(&name.as_str())
    });
    let rest = (
        prop::option::of(given()),
        prop::sample::select(kinds.to_vec()),
        prop::collection::btree_map(names, scalar(), 0..5),
    );
    (own, rest).prop_map(
        |((id, event_type, source, time, version, correlation_id), (causation_id, kind, extensions))| Event {
            id,
            event_type,
            source,
            timestamp: EventTime::parse(time).unwrap(),
            version,
            correlation_id,
            causation_id,
            kind,
            extensions,
        },
    )
}

fn routing() -> impl Strategy<Value = Routing> {
    let place = prop_oneof![
        "[A-Za-z0-9_-]{1,10}(\\.[a-z]{1,5}){0,3}".prop_map(|topic| (Some(Topic::parse(&topic).unwrap()), None)),
        prop::sample::select(vec!["/a/b", "pool:p", "capability:c", "all"])
            .prop_map(|to| (None, Some(Target::parse(to).unwrap()))),
    ];
    let priorities = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
    (place, prop::option::of(given()), prop::sample::select(priorities.to_vec()), prop_oneof![0..3_u32, any::<u32>()])
        .prop_map(|((topic, to), partition_key, priority, hops)| Routing { topic, to, partition_key, priority, hops })
}

fn payload() -> impl Strategy<Value = Json> {
    let texts = [
        "null",
        "5",
        "1e400",
        r#""text""#,
        "{}",
        "[ ]",
        r#"{"b" : 1, "a":1, "a":"\u00e9"}"#,
        r#"{"specversion":"1.0","type":"X"}"#,
        r#"{"event":{"type":"X"},"payload":1}"#,
        r#"{"data_base64":"/w=="}"#,
    ];
    prop_oneof![
        prop::sample::select(texts.to_vec()).prop_map(|text| Json::from_text(text.into()).unwrap()),
        ".*".prop_map(|text| Json::of(&text).unwrap()),
    ]
}

proptest! {
    #[test]
    fn an_envelope_comes_back_as_it_was(event in event(), routing in routing(), payload in payload()) {
        let envelope = Envelope { event, payload, routing };
        for style in [Style::Kafka, Style::Nats] {
            let back = there_and_back(&envelope, style);
            prop_assert_eq!(back.payload.as_bytes(), envelope.payload.as_bytes());
            prop_assert_eq!(&back, &envelope);
        }
    }

    #[test]
    fn nats_headers_are_printable_ascii(event in event(), routing in routing()) {
        let envelope = Envelope { event, payload: Json::null(), routing };
        for (name, value) in to_headers(&envelope, Style::Nats) {
            prop_assert!(name.bytes().chain(value.bytes()).all(|b| b.is_ascii_graphic()), "{name}: {value}");
        }
    }

    #[test]
    fn every_message_on_a_topic_is_an_event(
        headers in prop::collection::vec((".{0,10}|ce[_-][a-z]{1,13}|content-type|hb-scalars", prop::collection::vec(any::<u8>(), 0..30)), 0..6),
        body in prop_oneof![prop::collection::vec(any::<u8>(), 0..50), "[{}\\[\\]\":a-z0-9,]{0,30}".prop_map(String::into_bytes)],
    ) {
        let topic = Topic::parse("t").unwrap();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let envelope = from_message(headers, &body, &origin(Some(&topic))).unwrap();
        let written = serde_json::to_string(&envelope).unwrap();
        prop_assert_eq!(serde_json::from_str::<Envelope>(&written).unwrap(), envelope);
    }
}
