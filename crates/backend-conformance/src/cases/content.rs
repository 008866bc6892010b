//! What is stored comes back as it was.

use std::sync::Arc;

use handbell_backend::{Backend, Position, Record, Start, header};
use handbell_protocol::{
    Envelope, Json, Kind, Priority,
    event::{EventTime, Scalar},
};

use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Lent, event, from, number, put_all, put_one, queue_spec, read_all},
};

pub(super) const CASES: &[Case] = &[
    case!(Content, payloads_pass_byte_for_byte, "The event, complete, its payload byte for byte."),
    case!(
        Content,
        large_and_empty_payloads_pass,
        "An event of max_event bytes, payload and headers, is taken; so is the smallest."
    ),
    case!(
        Content,
        the_envelope_comes_back_complete,
        "The event, complete, with every member that its writer and the sidecar gave it."
    ),
    case!(
        Content,
        headers_come_back_as_they_were,
        "Handbell's own words beside an event come back as they were set; values are printable text."
    ),
    case!(
        Content,
        a_record_knows_where_it_lies,
        "A record's position is that of its receipt, and its topic that of its channel."
    ),
];

const PAYLOADS: &[&str] = &[
    "null",
    "{}",
    "\"\"",
    "0",
    "[ ]",
    "{\"b\" : 1,\n\t\"a\":1e400, \"a\":\"\\u00e9\"}",
    "-0.0000000000000000000000000000000000000001E+99",
    "123456789012345678901234567890.000",
    "\"\\ud83d\\ude00 \u{10ffff} \u{7f}\"",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "\"'; DROP TABLE records; --\"",
];

async fn payloads_pass_byte_for_byte(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let drafts = PAYLOADS.iter().map(|text| Ok(event("t", 0)?.key("k").payload(Json::from_text((*text).into())?)));
    let stored = put_all(&*backend, drafts.collect::<Outcome<_>>()?).await?;
    let read = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    let positions: Vec<_> = stored.into_iter().map(|stored| stored.position).collect();
    let fetched: Vec<_> = backend.fetch(&positions).await?.into_iter().flatten().collect();
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    let lent: Vec<_> = queue.pull_all(PAYLOADS.len()).await?.into_iter().map(|delivery| delivery.record).collect();
    for (way, records) in [("a tail", read), ("fetch", fetched), ("a queue", lent)] {
        let texts: Vec<_> = records.iter().map(|record| record.envelope.payload.as_str()).collect();
        ensure_eq!(texts, PAYLOADS, "payloads out of {way}");
    }
    Ok(())
}

async fn large_and_empty_payloads_pass(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let max = backend.capabilities().max_event;
    // Room for the envelope's own members, which are headers on a broker.
    for size in [0, 1, 65_535, 65_536, max - 4_096] {
        let payload = Json::from_text(format!("\"{}\"", "é".repeat(size / 2)))?;
        let stored = put_one(&*backend, event("t", 0)?.payload(payload.clone())).await?;
        let record = fetch_one(&*backend, &stored.position).await?;
        ensure!(record.envelope.payload == payload, "a payload of {size} bytes came back as another");
    }
    Ok(())
}

async fn the_envelope_comes_back_complete(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let plain = event("a.b-c_d", 1)?.key("k");
    let mut full = event("a.b-c_d", 2)?.key("schlüssel mit ☃").kind(Kind::Query).of_type("Größe \"?\"");
    full.envelope.event.timestamp = EventTime::parse("2025-11-29T15:30:00.123456+01:00")?;
    full.envelope.event.version = "2.0-β".into();
    full.envelope.event.correlation_id = "corr/1".into();
    full.envelope.event.causation_id = Some("cause 0".into());
    full.envelope.event.source = "/team/one".into();
    full.envelope.event.extensions.insert("text".into(), Scalar::Text("t\"x".into()));
    full.envelope.event.extensions.insert("yes".into(), Scalar::Bool(true));
    full.envelope.event.extensions.insert("number".into(), Scalar::Number(serde_json::Number::from(i64::MIN)));
    full.envelope.routing.hops = 9;
    let critical = event("a.b-c_d", 3)?.priority(Priority::Critical);
    let low = event("a.b-c_d", 4)?.priority(Priority::Low);
    for draft in [plain, full, critical, low] {
        let envelope = draft.envelope.clone();
        let stored = put_one(&*backend, draft).await?;
        let record = fetch_one(&*backend, &stored.position).await?;
        ensure_eq!(*record.envelope, envelope, "the envelope");
        ensure_eq!(text(&record.envelope)?, text(&envelope)?, "the envelope as text");
        ensure_eq!(record.position.lane, envelope.routing.lane(), "the lane of its priority");
    }
    Ok(())
}

fn text(envelope: &Envelope) -> Outcome<String> {
    Ok(serde_json::to_string(envelope)?)
}

async fn headers_come_back_as_they_were(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let plain = event("t", 1)?;
    let full = event("t", 2)?
        .header(header::CALL, "c1")
        .header(header::EXPIRY, "2999-01-01T00:00:00.000Z")
        .header(header::DLQ_MESSAGE, "größer als ☃, \"quoted\" = 'x'; \\n")
        .header(header::STATUS, "");
    for draft in [plain, full] {
        let expected = draft.clone().outgoing(backend.capabilities().partitions).headers;
        let stored = put_one(&*backend, draft).await?;
        let record = fetch_one(&*backend, &stored.position).await?;
        ensure_eq!(record.headers, expected, "the headers");
    }
    Ok(())
}

async fn a_record_knows_where_it_lies(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let drafts = (0..50).map(|n| event(&format!("a.t{}", n % 3), n)).collect::<Outcome<_>>()?;
    let stored = put_all(&*backend, drafts).await?;
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(records.len(), stored.len(), "records");
    for (n, stored) in (0..).zip(&stored) {
        let record = records.iter().find(|record| record.position == stored.position);
        let record = record.ok_or_else(|| Failure::new(format!("no record lies at {}", stored.position)))?;
        ensure_eq!(number(record), n, "the number at {}", stored.position);
        ensure_eq!(record.topic.as_str(), format!("a.t{}", n % 3), "the topic of number {n}");
        ensure_eq!(stored.position.to_string().parse(), Ok(stored.position.clone()), "the position as text");
    }
    Ok(())
}

async fn fetch_one(backend: &dyn Backend, position: &Position) -> Outcome<Arc<Record>> {
    let fetched = backend.fetch(std::slice::from_ref(position)).await?;
    fetched.into_iter().next().flatten().ok_or_else(|| Failure::new(format!("nothing is found at {position}")))
}
