//! Dead letters: a failed event, written again to class Dlq with what befell it.

use std::sync::Arc;

use handbell_backend::{Class, Dedup, Outgoing, PublishError, Record, header};

use crate::{DeadLetter, identity::digest};

/// The longest reason, in characters.
const LONGEST_REASON: usize = 1_000;

/// The record of a dead letter. Its dedup key is of this one failure: the
/// event's ID alone may have been brought by an agent and then names several.
pub(crate) fn outgoing(record: &Record, receiver: &str, letter: &DeadLetter) -> Outgoing {
    let origin = record.headers.get(header::ORIGIN).map_or_else(|| record.position.to_string(), ToOwned::to_owned);
    let attempts = letter.attempts.to_string();
    let key = digest("handbell dead letter v1", &[&record.envelope.event.id, &origin, receiver, &attempts], 20);
    let headers = record
        .headers
        .clone()
        .with(header::ORIGIN, origin)
        .with(header::DLQ_TOPIC, record.topic.as_str())
        .with(header::DLQ_PARTITION, record.position.partition.to_string())
        .with(header::DLQ_OFFSET, record.position.offset.to_string())
        .with(header::DLQ_GROUP, receiver)
        .with(header::DLQ_COUNT, attempts)
        .with(header::DLQ_MESSAGE, printable(&letter.reason))
        .with(header::DLQ_CLASS, printable(&letter.class));
    Outgoing {
        class: Class::Dlq,
        topic: record.topic.clone(),
        partition: record.position.partition,
        envelope: Arc::clone(&record.envelope),
        headers,
        dedup: Some(Dedup { key: format!("dlq/{key}"), digest: None }),
    }
}

/// Whether a dead letter that was refused will be refused again.
pub(crate) fn is_final(error: &PublishError) -> bool {
    !error.is_retryable()
}

/// A header's value is printable text.
fn printable(text: &str) -> String {
    text.chars().take(LONGEST_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
