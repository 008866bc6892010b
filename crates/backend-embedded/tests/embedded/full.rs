//! A full disk, by way of the database's largest size.

use bytes::Bytes;
use handbell_backend::{Backend, CellName, Fault, PublishError, Start};

use crate::common::{ids, on_disk, out, publish, read, spec, stored};

#[tokio::test]
async fn a_full_disk_is_told_and_the_log_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backend) = on_disk(dir.path());
    stored(&*backend, out("before", "t", 0)).await;
    log.set_max_bytes(Some(4_096)).await.unwrap();
    let mut refused = 0;
    for n in 0..100 {
        let receipts = publish(&*backend, vec![out(&format!("full-{n}"), "t", 0)]).await;
        match &receipts[0] {
            Err(PublishError::Unavailable(why)) => {
                assert!(why.contains("full"), "{why}");
                refused += 1;
            }
            other => assert!(other.is_ok() && refused == 0, "{other:?}"),
        }
    }
    assert!(refused > 50, "{refused}");
    let cell = CellName::of(&["c"]);
    let error = backend.cell_store(&cell, Bytes::from(vec![1; 50_000]), None).await.unwrap_err();
    assert_eq!(error.fault, Fault::Unavailable);
    let stored_so_far = read(&*backend, spec(&[], &Start::Oldest)).await.len();
    assert_eq!(stored_so_far, 101 - refused, "what was refused is not there");

    log.set_max_bytes(None).await.unwrap();
    assert!(!stored(&*backend, out("after", "t", 0)).await.duplicate);
    assert_eq!(ids(&read(&*backend, spec(&[], &Start::Oldest)).await).last(), Some(&"after"));
    drop((log, backend));
    assert_eq!(read(&*on_disk(dir.path()).1, spec(&[], &Start::Oldest)).await.len(), stored_so_far + 1);
}

/// What is too large for the room that is left must not take its neighbours in
/// the same transaction with it.
#[tokio::test]
async fn one_that_doesnt_fit_doesnt_fail_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (log, backend) = on_disk(dir.path());
    stored(&*backend, out("before", "t", 0)).await;
    let size = std::fs::metadata(dir.path().join("handbell.db")).unwrap().len();
    log.set_max_bytes(Some(size + 40 * 4_096)).await.unwrap();
    let (large, last) = (CellName::of(&["large"]), CellName::of(&["last"]));
    let (small, large, last) = tokio::join!(
        backend.publish(vec![out("small", "t", 0)]),
        backend.cell_store(&large, Bytes::from(vec![1; 500_000]), None),
        backend.cell_store(&last, Bytes::from_static(b"x"), None),
    );
    assert!(small.unwrap().await[0].is_ok());
    assert_eq!(large.unwrap_err().fault, Fault::Unavailable);
    assert!(last.is_ok());
}
