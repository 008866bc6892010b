//! Publishing: a bounded window of messages under way, each with its receipt.

use std::sync::Arc;

use handbell_backend::{Outgoing, PublishError, Receipts, Stored};
use handbell_protocol::Timestamp;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    ack::{Answer, settled},
    api::{ApiError, parse},
    core::Core,
    error::Trouble,
    get::Which,
    message::{Encoded, decode_record, digest, encode_record},
};

/// How much may be under way: units of [`UNIT`] bytes, one a message at least.
const WINDOW: u32 = 8_192;
const UNIT: usize = 2_048;

/// The way into the streams.
pub(crate) struct Publisher {
    core: Arc<Core>,
    window: Arc<Semaphore>,
    max_event: usize,
}

/// A record of a batch, on its way.
enum Slot {
    Refused(PublishError),
    Sent(Sent),
}

/// What is known of a message that was sent.
struct Sent {
    answer: Answer,
    record: Facts,
    /// Its room in the window, until the broker has answered.
    _room: OwnedSemaphorePermit,
}

/// An encoded record without what was sent.
struct Facts {
    message: Encoded,
    /// When it was handed over, by the broker's clock.
    at: Timestamp,
}

#[derive(Deserialize)]
struct PublishAck {
    #[serde(default)]
    error: Option<ApiError>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

impl Publisher {
    pub(crate) fn new(core: Arc<Core>, max_event: usize) -> Self {
        Self { core, window: Arc::new(Semaphore::new(WINDOW as usize)), max_event }
    }

    /// Sends a batch; waits while the window is full.
    pub(crate) async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        let unavailable = |why: &str| Err(PublishError::Unavailable(why.into()));
        if self.core.closing.is_cancelled() {
            return unavailable("the backend is closed");
        }
        if !self.core.can_publish() {
            return unavailable("there is no connection to the broker");
        }
        let count = batch.len();
        // Room for each, so that sending to the collector never waits.
        let (slots, coming) = mpsc::channel(count.max(1));
        let (receipts, answered) = oneshot::channel();
        let core = Arc::clone(&self.core);
        // Receipts are collected whether or not anybody waits for them: they make room.
        self.core.tasks.spawn(async move { drop(receipts.send(collect(&core, coming).await)) });
        let mut lost = false;
        for out in batch {
            // A connection that comes back in the midst of it lets nothing overtake.
            lost |= !self.core.can_publish();
            let slot = match lost {
                false => self.send(out).await.map_or_else(Slot::Refused, Slot::Sent),
                true => Slot::Refused(PublishError::Unavailable("the connection to the broker was lost".into())),
            };
            // The collector ends only after this sender.
            drop(slots.send(slot).await);
        }
        drop(slots);
        Ok(Box::pin(async move {
            let lost = PublishError::InDoubt("the answers were lost".into());
            answered.await.unwrap_or_else(|_| vec![Err(lost); count])
        }))
    }

    async fn send(&self, out: Outgoing) -> Result<Sent, PublishError> {
        let mut message = encode_record(&self.core, &out, self.max_event)?;
        drop(out);
        let units = u32::try_from(message.size / UNIT + 1).unwrap_or(WINDOW).min(WINDOW);
        let room = Arc::clone(&self.window).acquire_many_owned(units).await;
        let room = room.map_err(|_| PublishError::Unavailable("the backend is closed".into()))?;
        let at = self.core.clock.at_least();
        let (subject, headers) = (std::mem::take(&mut message.subject), std::mem::take(&mut message.headers));
        let asked = self.core.asker.ask(subject, Some(headers), std::mem::take(&mut message.payload)).await;
        let answer = asked.map_err(|trouble| trouble.publishing(message.size))?;
        Ok(Sent { answer, record: Facts { message, at }, _room: room })
    }
}

async fn collect(core: &Core, mut coming: mpsc::Receiver<Slot>) -> Vec<Result<Stored, PublishError>> {
    let mut receipts = Vec::new();
    while let Some(slot) = coming.recv().await {
        receipts.push(match slot {
            Slot::Refused(error) => Err(error),
            Slot::Sent(Sent { answer, record, _room }) => {
                let size = record.message.size;
                match acknowledged(answer).await {
                    Ok(ack) if ack.duplicate => first(core, &record, ack.seq).await,
                    Ok(ack) => Ok(fresh(record, ack.seq)),
                    Err(trouble) => Err(trouble.publishing(size)),
                }
            }
        });
    }
    receipts
}

async fn acknowledged(answer: Answer) -> Result<PublishAck, Trouble> {
    let ack: PublishAck = parse(&settled(answer.await)?.payload)?;
    match ack.error {
        Some(error) => Err(error.into()),
        None if ack.seq == 0 => Err(Trouble::Unreadable("an acknowledgement without a number".into())),
        None => Ok(ack),
    }
}

fn fresh(Facts { message, at }: Facts, sequence: u64) -> Stored {
    let position = message.stream.position(message.partition, sequence, at);
    Stored { position, id: message.id, duplicate: false }
}

/// The receipt of a repeat: that of the first, unless its content was another.
async fn first(core: &Core, record: &Facts, sequence: u64) -> Result<Stored, PublishError> {
    let Facts { message, at } = record;
    let stream = &message.stream.name;
    let in_doubt = |trouble: Trouble| PublishError::InDoubt(format!("it was stored before, and the first: {trouble}"));
    let raw = core.asker.get(stream, &Which::at(sequence)).await.map_err(in_doubt)?;
    let first = raw.and_then(|raw| {
        let record = decode_record(&message.stream, &raw).ok().flatten()?;
        Some((digest(&raw.headers), record))
    });
    let Some((stored, first)) = first else {
        // Retention was faster: the broker still knows the number, and nobody the content.
        let position = message.stream.position(message.partition, sequence, *at);
        return Ok(Stored { position, id: message.id.clone(), duplicate: true });
    };
    match (message.digest, stored) {
        (Some(ours), Some(theirs)) if ours != theirs => Err(PublishError::Conflict),
        _ => Ok(Stored { position: first.position, id: first.envelope.event.id.clone(), duplicate: true }),
    }
}
