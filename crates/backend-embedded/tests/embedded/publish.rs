//! Publishing: receipts, order, repeats, limits.

use crate::common::{express, ids, memory, out, publish, read, spec, stored, with_key};
use handbell_backend::{Backend, Outgoing, PublishError, Start, header};
use handbell_backend_embedded::{EmbeddedLog, Options};
use handbell_protocol::{Json, Namespace};

use std::sync::Arc;

#[tokio::test]
async fn what_is_published_is_read_back_whole() {
    let (_log, backend) = memory();
    let mut sent = out("a", "t.x", 3);
    sent.headers.set(header::EXPIRY, "2030-01-01T00:00:00Z");
    let position = stored(&*backend, sent.clone()).await.position;
    let record = read(&*backend, spec(&[], &Start::Oldest)).await.remove(0);
    assert_eq!(record.envelope, sent.envelope);
    assert_eq!((&record.headers, &record.topic), (&sent.headers, &sent.topic));
    assert_eq!(record.position, position);
    let fetched = backend.fetch(&[position]).await.unwrap().remove(0).unwrap();
    assert_eq!(*fetched, *record, "from the database as from memory");
}

#[tokio::test]
async fn batches_are_stored_in_the_order_in_which_they_were_handed_over() {
    let (_log, backend) = memory();
    let mut receipts = Vec::new();
    for batch in 0..50 {
        let batch = (0..3).map(|n| out(&format!("{batch}-{n}"), "t", 0)).collect();
        receipts.push(backend.publish(batch).await.unwrap());
    }
    for receipt in receipts.into_iter().rev() {
        assert!(receipt.await.iter().all(Result::is_ok));
    }
    let expected: Vec<String> = (0..50).flat_map(|b| (0..3).map(move |n| format!("{b}-{n}"))).collect();
    assert_eq!(ids(&read(&*backend, spec(&["t"], &Start::Oldest)).await), expected);
}

#[tokio::test]
async fn a_known_dedup_key_is_told_as_duplicate_and_stored_once() {
    let (_log, backend) = memory();
    let first = stored(&*backend, with_key(out("first", "t", 1), "/a#n/1", Some(7))).await;
    let again = stored(&*backend, with_key(out("second", "t", 2), "/a#n/1", Some(7))).await;
    assert!(again.duplicate);
    assert_eq!((again.position, again.id), (first.position, "first".to_owned()));
    let batch = vec![
        with_key(out("x", "t", 1), "/a#n/2", None),
        with_key(out("y", "t", 1), "/a#n/2", None),
        with_key(out("other", "t", 1), "/a#n/1", Some(8)),
        with_key(out("whatever", "t", 1), "/a#n/1", None),
    ];
    let receipts = publish(&*backend, batch).await;
    assert!(!receipts[0].as_ref().unwrap().duplicate && receipts[1].as_ref().unwrap().duplicate);
    assert_eq!(receipts[2], Err(PublishError::Conflict));
    assert!(receipts[3].as_ref().unwrap().duplicate, "without a digest the first stands");
    assert_eq!(ids(&read(&*backend, spec(&["t"], &Start::Oldest)).await), ["first", "x"]);
}

#[tokio::test]
async fn one_that_is_too_large_doesnt_stop_its_neighbours() {
    let options = Options { max_event: 2_000, ..Options::memory() };
    let backend = EmbeddedLog::open(options).unwrap().backend(Namespace::default());
    let mut large = out("large", "t", 0);
    let payload = Json::from_text(format!("\"{}\"", "x".repeat(2_000))).unwrap();
    Arc::make_mut(&mut large.envelope).payload = payload;
    let receipts = publish(&*backend, vec![out("a", "t", 0), large, out("b", "t", 99), out("c", "t", 0)]).await;
    assert!(matches!(receipts[1], Err(PublishError::TooLarge { max: 2_000, .. })));
    assert!(matches!(receipts[2], Err(PublishError::Refused(_))), "no such partition");
    assert_eq!(ids(&read(&*backend, spec(&[], &Start::Oldest)).await), ["a", "c"]);
}

/// Schedule 28: what could be published can be dead-lettered.
#[tokio::test]
async fn headers_fit_on_top_of_an_event_that_has_the_largest_size() {
    let options = Options { max_event: 2_000, ..Options::memory() };
    let backend = EmbeddedLog::open(options).unwrap().backend(Namespace::default());
    let mut fitting = out("a", "t", 0);
    let bare = serde_json::to_vec(&*fitting.envelope).unwrap().len();
    let payload = Json::from_text(format!("\"{}\"", "x".repeat(1_980 - bare))).unwrap();
    Arc::make_mut(&mut fitting.envelope).payload = payload;
    stored(&*backend, fitting.clone()).await;
    let dead = Outgoing { headers: fitting.headers.clone().with(header::DLQ_MESSAGE, "y".repeat(1_000)), ..fitting };
    stored(&*backend, dead).await;
}

#[tokio::test]
async fn namespaces_and_lanes_never_meet() {
    let (log, backend) = memory();
    let other = log.backend(Namespace::parse("other").unwrap());
    let position = stored(&*backend, with_key(out("mine", "t", 0), "k", None)).await.position;
    stored(&*other, with_key(out("theirs", "t", 0), "k", None)).await;
    stored(&*backend, express("fast", "t", 0)).await;
    assert_eq!(ids(&read(&*backend, spec(&[], &Start::Oldest)).await), ["mine"]);
    assert_eq!(ids(&read(&*other, spec(&[], &Start::Oldest)).await), ["theirs"]);
    assert_eq!(other.fetch(&[position]).await.unwrap(), [None]);
    assert_eq!(other.topics(handbell_backend::Class::Ev).await.unwrap()[0].records, 1);
    assert_eq!(other.lag(&spec(&[], &Start::Oldest)).await.unwrap(), 1);
}
