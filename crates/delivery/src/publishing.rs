//! A batch handed over and waited for.

use handbell_backend::{Backend, Outgoing, PublishError, Stored};

/// Publishes a batch and waits for what became of it: a result for each record,
/// in their order. Where nothing was handed over, all have that failure.
/// Dropped while it waits, the batch may or may not be stored.
pub(crate) async fn publish(backend: &dyn Backend, batch: Vec<Outgoing>) -> Vec<Result<Stored, PublishError>> {
    let count = batch.len();
    match backend.publish(batch).await {
        Ok(receipts) => receipts.await,
        Err(error) => vec![Err(error); count],
    }
}
