//! The task that says what this member has to say: its heartbeat in time and
//! at each change (those that follow quickly share one), and single words as
//! they come.

use std::sync::Arc;

use handbell_backend::{Class, Headers, Outgoing, Partition, PublishError, Record};
use handbell_protocol::{
    Envelope, Priority, Timestamp, Topic,
    event::{Event, Routing},
};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    MemberId,
    beat::topic,
    shell::{Shared, Word},
};
use crate::{backoff::Backoff, publishing};

/// All members speak in one partition, so that each hears the others in order.
pub(super) const PARTITION: Partition = Partition(0);

/// What stands before the member in the ID of what it says.
const SPEAKER: &str = "member-";

/// How many words go in one batch.
const BATCH: usize = 256;

pub(super) async fn run(shared: Arc<Shared>, mut words: mpsc::Receiver<Word>) {
    let mut ticks = interval(shared.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut backoff = Backoff::new("speak to other members");
    let (mut said, mut pending, mut quiet_until) = (Vec::new(), false, Instant::now());
    loop {
        let beats = tokio::select! {
            _ = words.recv_many(&mut said, BATCH) => false,
            () = shared.changed.notified(), if !pending => {
                pending = true;
                continue;
            }
            () = sleep_until(quiet_until), if pending => true,
            _ = ticks.tick() => true,
        };
        let result = if beats { beat(&shared).await } else { say(&shared, said.drain(..)).await };
        if beats {
            (pending, quiet_until) = (false, Instant::now() + shared.roster().quiet());
        }
        match result {
            Ok(()) => backoff.worked(),
            Err(error) => backoff.wait(&error).await,
        }
    }
}

/// Publishes the next heartbeat and waits until it is stored.
pub(super) async fn beat(shared: &Shared) -> Result<(), PublishError> {
    let beat = shared.roster().beat();
    publish(shared, vec![outgoing(shared, topic::HEARTBEAT, &beat)?]).await
}

async fn say(shared: &Shared, words: impl Iterator<Item = Word>) -> Result<(), PublishError> {
    let batch: Result<Vec<_>, _> = words
        .map(|word| match word {
            Word::Signal(signal) => outgoing(shared, topic::SIGNAL, &signal),
            Word::Handover(handover) => outgoing(shared, topic::HANDOVER, &handover),
        })
        .collect();
    publish(shared, batch?).await
}

async fn publish(shared: &Shared, batch: Vec<Outgoing>) -> Result<(), PublishError> {
    if batch.is_empty() {
        return Ok(());
    }
    publishing::publish(&*shared.backend, batch).await.into_iter().try_for_each(|receipt| receipt.map(drop))
}

/// Whether that member said it: what it says itself it need not read.
pub(super) fn is_by(record: &Record, member: &MemberId) -> bool {
    record.envelope.event.id.strip_prefix(SPEAKER) == Some(member.as_str())
}

fn outgoing(shared: &Shared, topic: &str, payload: &impl Serialize) -> Result<Outgoing, PublishError> {
    let topic = Topic::parse(topic).expect("the topics of class members are names");
    let id = format!("{SPEAKER}{}", shared.id);
    let event = Event {
        correlation_id: id.clone(),
        id,
        event_type: "MemberNotification".into(),
        source: "/handbell".into(),
        timestamp: Timestamp::now().into(),
        version: "1.0".into(),
        causation_id: None,
        kind: None,
        extensions: std::collections::BTreeMap::new(),
    };
    let payload = handbell_protocol::Json::of(payload)
        .map_err(|why| PublishError::Refused(format!("a word to members: {why}")))?;
    let routing =
        Routing { topic: Some(topic.clone()), to: None, partition_key: None, priority: Priority::Normal, hops: 0 };
    Ok(Outgoing {
        class: Class::Members,
        topic,
        partition: PARTITION,
        envelope: Arc::new(Envelope { event, payload, routing }),
        headers: Headers::default(),
        dedup: None,
    })
}
