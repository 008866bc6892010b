//! What the server removes by itself, and a directory that went back.

use std::{process::Command, time::Duration};

use handbell_backend::{Backend, Class, Fault, Position, Start, TailItem};
use handbell_backend_nats::{Options, Retention, open};
use handbell_protocol::TopicPattern;
use handbell_test_support::NatsServer;
use tokio::time::{Instant, sleep, timeout};

use crate::common::{PATIENCE, connect, event, everything, number, options, publish_all, read};

fn short(url: &str) -> Options {
    let rule = |topics: &str, age: Option<u64>| Retention {
        class: Class::Ev,
        topics: TopicPattern::parse(topics).unwrap(),
        age: age.map(Duration::from_secs),
    };
    // The first that matches counts.
    Options { retention: vec![rule("count.*", Some(1)), rule(">", None)], ..options(url) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topics_age_is_kept_by_the_server_and_a_reader_that_comes_late_is_told() {
    let server = NatsServer::start().unwrap();
    let backend = open(short(&server.url())).await.unwrap();
    let stored = ten(&backend).await;
    let until = Instant::now() + PATIENCE;
    while backend.fetch(&stored).await.unwrap().iter().any(Option::is_some) {
        assert!(Instant::now() < until, "after a second they are still there");
        sleep(Duration::from_millis(100)).await;
    }
    publish_all(&backend, 10..12).await;
    let mut tail = backend.tail(everything(Start::At(stored[3].clone()))).await.unwrap();
    let mut told = Vec::new();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match timeout(PATIENCE, tail.next(10)).await.unwrap().unwrap() {
            TailItem::Records(records) => seen.extend(records.iter().map(|record| number(record))),
            TailItem::Trimmed(trimmed) => told.push(trimmed),
            TailItem::Level => {}
        }
    }
    assert_eq!(seen, [10, 11]);
    let of_first = told.iter().find(|gap| gap.from.partition == stored[3].partition);
    let gap = of_first.expect("what is gone is told");
    assert!(gap.from.offset <= stored[3].offset && gap.to.offset > stored[9].offset, "{gap:?}");
}

/// Publishes ten events; the positions of their receipts.
async fn ten(backend: &dyn Backend) -> Vec<Position> {
    let receipts = backend.publish((0..10).map(event).collect()).await.unwrap().await;
    receipts.into_iter().map(|receipt| receipt.unwrap().position).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_went_back_ends_the_tails_and_nothing_new_is_skipped() {
    let mut server = NatsServer::start().unwrap();
    let backend = connect(&server.url()).await;
    publish_all(&backend, 0..10).await;
    let copy = tempfile::tempdir().unwrap();
    let saved = copy.path().join("store");
    server.kill();
    copy_dir(&server.store(), &saved);
    server.run_again().unwrap();

    publish_all(&backend, 10..30).await;
    let mut tail = backend.tail(everything(Start::Oldest)).await.unwrap();
    let mut last = None;
    let mut seen = 0;
    while seen < 30 {
        if let TailItem::Records(records) = timeout(PATIENCE, tail.next(100)).await.unwrap().unwrap() {
            seen += records.len();
            last = records.last().map(|record| record.position.clone());
        }
    }
    let last = last.unwrap();

    server.kill();
    std::fs::remove_dir_all(server.store()).unwrap();
    copy_dir(&saved, &server.store());
    server.run_again().unwrap();

    // The tail that was open is past the end of what is there now.
    let ended = loop {
        match timeout(PATIENCE, tail.next(100)).await.expect("the tail ends") {
            Err(error) if !error.is_retryable() => break error,
            Err(_) | Ok(TailItem::Level) => {}
            Ok(item) => panic!("{item:?}"),
        }
    };
    assert_eq!(ended.fault, Fault::Corrupt, "{ended}");
    // What is stored now gets numbers that the lost ones had, and is read.
    sleep(Duration::from_millis(20)).await;
    publish_all(&backend, 100..105).await;
    let mut again = backend.tail(everything(Start::After(last))).await.unwrap();
    let mut new = Vec::new();
    while new.len() < 5 {
        if let TailItem::Records(records) = timeout(PATIENCE, again.next(100)).await.unwrap().unwrap() {
            new.extend(records.iter().map(|record| number(record)));
        }
    }
    new.sort_unstable();
    assert_eq!(new, [100, 101, 102, 103, 104]);
    assert_eq!(read(&backend, 15).await.len(), 15);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success(), "the copy of the directory");
}
