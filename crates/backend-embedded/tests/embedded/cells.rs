//! Cells and topics.

use std::sync::Arc;

use bytes::Bytes;
use handbell_backend::{Backend, CellName, CellVersion, Class, Fault, StoreOutcome};
use handbell_protocol::Namespace;

use crate::common::{express, memory, on_disk, out, stored};

fn name(text: &str) -> CellName {
    CellName::of(&text.split('/').collect::<Vec<_>>())
}

async fn store(backend: &dyn Backend, cell: &str, value: &str, expected: Option<CellVersion>) -> StoreOutcome {
    backend.cell_store(&name(cell), Bytes::from(value.to_owned()), expected).await.unwrap()
}

#[tokio::test]
async fn of_those_who_name_the_same_version_exactly_one_wins() {
    let (_log, backend) = memory();
    let mut racers = tokio::task::JoinSet::new();
    for n in 0..20 {
        let backend = Arc::clone(&backend);
        racers.spawn(async move { store(&*backend, "g/a", &n.to_string(), None).await });
    }
    let outcomes = racers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome != StoreOutcome::Fenced).count(), 1);
    let loaded = backend.cell_load(&name("g/a")).await.unwrap().unwrap();
    assert!(
        matches!(store(&*backend, "g/a", "next", Some(loaded.version)).await, StoreOutcome::Stored(v) if v > loaded.version)
    );
    assert_eq!(store(&*backend, "g/a", "late", Some(loaded.version)).await, StoreOutcome::Fenced);
    assert_eq!(backend.cell_load(&name("g/a")).await.unwrap().unwrap().value, "next");
}

#[tokio::test]
async fn versions_never_come_back_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backend) = on_disk(dir.path());
    let StoreOutcome::Stored(first) = store(&*backend, "c", "1", None).await else { panic!("it is the first") };
    log.close().await;
    let (_log, backend) = on_disk(dir.path());
    assert_eq!(store(&*backend, "c", "x", None).await, StoreOutcome::Fenced);
    assert!(matches!(store(&*backend, "c", "2", Some(first)).await, StoreOutcome::Stored(second) if second > first));
}

#[tokio::test]
async fn only_names_below_the_prefix_are_listed_in_order_and_per_namespace() {
    let (log, backend) = memory();
    for cell in ["g/b", "g/a/x", "g", "g-/c", "ga/b", "h/a", "g/0"] {
        store(&*backend, cell, "v", None).await;
    }
    let other = log.backend(Namespace::parse("other").unwrap());
    store(&*other, "g/theirs", "v", None).await;
    let names = backend.cells(&name("g")).await.unwrap();
    assert_eq!(names.iter().map(CellName::as_str).collect::<Vec<_>>(), ["g/0", "g/a/x", "g/b"]);
    assert_eq!(other.cell_load(&name("g/b")).await.unwrap(), None);
}

#[tokio::test]
async fn a_value_beyond_512_kib_is_refused() {
    let (_log, backend) = memory();
    let error = backend.cell_store(&name("c"), Bytes::from(vec![0; 524_289]), None).await.unwrap_err();
    assert_eq!(error.fault, Fault::Refused);
    assert!(backend.cell_store(&name("c"), Bytes::from(vec![0; 524_288]), None).await.is_ok());
}

#[tokio::test]
async fn topics_count_both_lanes_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backend) = on_disk(dir.path());
    for record in [out("1", "b", 0), express("2", "b", 0), out("3", "a.x", 1)] {
        stored(&*backend, record).await;
    }
    let topics = backend.topics(Class::Ev).await.unwrap();
    let counted: Vec<_> = topics.iter().map(|info| (info.topic.as_str(), info.records)).collect();
    assert_eq!(counted, [("a.x", 1), ("b", 2)]);
    assert!(topics[1].bytes > 300 && topics[1].newest >= topics[1].oldest);
    assert!(backend.topics(Class::Dlq).await.unwrap().is_empty());
    log.close().await;
    assert_eq!(on_disk(dir.path()).1.topics(Class::Ev).await.unwrap(), topics);
}
