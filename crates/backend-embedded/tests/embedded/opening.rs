//! Opening, closing, and what is told when it doesn't work.

use handbell_backend::{Backend, Fault, PartitionCount, PublishError, Start};
use handbell_backend_embedded::{EmbeddedLog, OpenError, Options};

use crate::common::{ids, memory, on_disk, out, read, soon, spec, stored, until_level};

#[tokio::test]
async fn a_directory_in_use_is_told_with_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _backend) = on_disk(dir.path());
    let error = EmbeddedLog::open(Options::dir(dir.path())).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { holder: Some(pid), .. } if *pid == std::process::id()), "{error}");
    log.close().await;
    assert!(EmbeddedLog::open(Options::dir(dir.path())).is_ok(), "close has released it");
}

#[test]
fn the_last_handle_releases_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let (log, backend) = on_disk(dir.path());
        drop(log);
        drop(backend);
    }
}

#[test]
fn a_changed_number_of_partitions_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(on_disk(dir.path()));
    let options = Options { partitions: PartitionCount::new(8).unwrap(), ..Options::dir(dir.path()) };
    let error = EmbeddedLog::open(options).unwrap_err();
    assert!(matches!(error, OpenError::PartitionsChanged { stored: 32, asked: 8, .. }), "{error}");
}

#[test]
fn what_is_no_log_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("handbell.db");
    std::fs::write(&file, "x".repeat(5_000)).unwrap();
    let error = EmbeddedLog::open(Options::dir(dir.path())).unwrap_err();
    assert!(matches!(error, OpenError::NotALog { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x".repeat(5_000));
}

#[test]
fn a_path_that_cant_be_a_directory_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = EmbeddedLog::open(Options::dir(file.join("below"))).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("name a directory"), "{error}");
}

#[tokio::test]
async fn waiting_tails_and_pulls_end_with_closed() {
    let (log, backend) = memory();
    let mut tail = backend.tail(spec(&[], &Start::Oldest)).await.unwrap();
    until_level(&mut *tail).await;
    let queue = backend.queue(super::queue::spec("q", &["t"])).await.unwrap();
    let tail = tokio::spawn(async move { tail.next(1).await.unwrap_err().fault });
    let pull = tokio::spawn(async move { queue.pull(1).await.unwrap_err().fault });
    tokio::task::yield_now().await;
    log.close().await;
    assert_eq!((soon(tail).await.unwrap(), soon(pull).await.unwrap()), (Fault::Closed, Fault::Closed));
    assert!(matches!(backend.publish(vec![out("a", "t", 0)]).await, Err(PublishError::Unavailable(_))));
    assert_eq!(backend.topics(handbell_backend::Class::Ev).await.unwrap_err().fault, Fault::Closed);
    backend.close().await;
}

#[tokio::test]
async fn what_was_handed_over_before_close_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, backend) = on_disk(dir.path());
    let mut receipts = Vec::new();
    for n in 0..200 {
        receipts.push(backend.publish(vec![out(&n.to_string(), "t", 0)]).await.unwrap());
    }
    backend.close().await;
    for receipt in receipts {
        assert!(receipt.await[0].is_ok());
    }
    drop((backend, _log));
    let (_log, backend) = on_disk(dir.path());
    assert_eq!(read(&*backend, spec(&["t"], &Start::Oldest)).await.len(), 200);
}

#[tokio::test]
async fn a_tail_keeps_the_log_open() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backend) = on_disk(dir.path());
    stored(&*backend, out("a", "t", 0)).await;
    let mut tail = backend.tail(spec(&[], &Start::Oldest)).await.unwrap();
    drop((log, backend));
    assert_eq!(ids(&until_level(&mut *tail).await), ["a"]);
    assert!(matches!(EmbeddedLog::open(Options::dir(dir.path())), Err(OpenError::InUse { .. })));
}

#[tokio::test]
async fn an_incarnation_lasts_as_long_as_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let first = stored(&*on_disk(dir.path()).1, out("a", "t", 0)).await.position;
    let second = stored(&*on_disk(dir.path()).1, out("b", "t", 0)).await.position;
    assert!(second.comparable(&first) && second.offset > first.offset);
    std::fs::remove_file(dir.path().join("handbell.db")).unwrap();
    let third = stored(&*on_disk(dir.path()).1, out("c", "t", 0)).await.position;
    assert!(!third.comparable(&first));
}
