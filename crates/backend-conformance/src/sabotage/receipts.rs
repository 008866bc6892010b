//! Lies of publish.

use std::{collections::HashMap, sync::Arc, time::Duration};

use handbell_backend::{Backend, Class, Outgoing, PublishError, Receipts, Stored};

/// How much later than its receipt an event is written.
const LATER: Duration = Duration::from_millis(500);

/// Acknowledges at once, and writes when there is time.
pub(super) async fn early(inner: Arc<dyn Backend>, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
    let unavailable = |error: handbell_backend::BackendError| PublishError::Unavailable(error.to_string());
    let mut receipts = vec![];
    let mut ends = HashMap::new();
    for outgoing in &batch {
        let lane = outgoing.envelope.routing.lane();
        if let std::collections::hash_map::Entry::Vacant(unknown) = ends.entry(lane) {
            let known: HashMap<_, _> = inner.ends(Class::Ev, lane).await.map_err(unavailable)?.into_iter().collect();
            unknown.insert(known);
        }
        let end = ends.get_mut(&lane).and_then(|ends| ends.get_mut(&outgoing.partition));
        let end = end.ok_or_else(|| PublishError::Refused("no such partition".into()))?;
        end.offset += 1;
        let id = outgoing.envelope.event.id.clone();
        receipts.push(Ok(Stored { position: end.clone(), id, duplicate: false }));
    }
    tokio::spawn(async move {
        tokio::time::sleep(LATER).await;
        if let Ok(receipts) = inner.publish(batch).await {
            drop(receipts.await);
        }
    });
    Ok(Box::pin(async move { receipts }))
}

/// Writes a batch from its end to its beginning.
pub(super) async fn reversed(inner: &dyn Backend, mut batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
    batch.reverse();
    let receipts = inner.publish(batch).await?;
    Ok(Box::pin(async move {
        let mut receipts = receipts.await;
        receipts.reverse();
        receipts
    }))
}
