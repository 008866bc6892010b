//! What is known of a class's topics and partitions without reading records.

use std::{collections::BTreeMap, sync::Arc};

use handbell_backend::{BackendError, Class, Partition, Position, TopicInfo};
use handbell_protocol::{Lane, Namespace, Timestamp, Topic};

use crate::{engine::Engine, stream::StreamKey, writer::oldest_of};

/// A topic's channel, with records.
struct Channel {
    id: i64,
    topic: Topic,
    records: u64,
    bytes: u64,
    newest: Timestamp,
}

/// The end of each partition: its last record, or the place before the first.
pub(crate) fn ends(engine: &Engine, key: &StreamKey) -> Vec<(Partition, Position)> {
    let stream = engine.stream(key);
    let time = engine.end_time();
    let ends = stream.lock().ends.clone();
    engine
        .options
        .partitions
        .iter()
        .zip(ends)
        .map(|(partition, (offset, at))| {
            let at = if offset == 0 { time } else { at };
            (partition, engine.position(key.class, key.lane, partition, offset, at))
        })
        .collect()
}

/// The topics of a class that have records, both lanes together.
pub(crate) async fn topics(
    engine: &Arc<Engine>,
    namespace: &Namespace,
    class: Class,
) -> Result<Vec<TopicInfo>, BackendError> {
    let channels: Vec<Channel> = Lane::ALL
        .into_iter()
        .flat_map(|lane| channels(engine, StreamKey { namespace: namespace.clone(), class, lane }))
        .collect();
    let job = move |tx: &rusqlite::Transaction<'_>| {
        let mut topics = BTreeMap::<Topic, TopicInfo>::new();
        for channel in channels {
            // Retention may have taken the last one meanwhile.
            if let Some(oldest) = oldest_of(tx, channel.id)? {
                merge(&mut topics, channel, oldest);
            }
        }
        Ok(topics.into_values().collect())
    };
    engine.readers.read("list topics", job).await
}

fn channels(engine: &Engine, key: StreamKey) -> Vec<Channel> {
    let stream = engine.stream(&key);
    let state = stream.lock();
    let kept = state.slots.iter().filter(|slot| slot.records > 0);
    kept.map(|slot| Channel {
        id: slot.id,
        topic: slot.topic.clone(),
        records: slot.records,
        bytes: slot.bytes,
        newest: slot.last_time,
    })
    .collect()
}

fn merge(topics: &mut BTreeMap<Topic, TopicInfo>, channel: Channel, oldest: Timestamp) {
    let Channel { topic, records, bytes, newest, .. } = channel;
    topics
        .entry(topic.clone())
        .and_modify(|known| {
            known.records += records;
            known.bytes += bytes;
            known.oldest = known.oldest.min(oldest);
            known.newest = known.newest.max(newest);
        })
        .or_insert(TopicInfo { topic, records, bytes, oldest, newest });
}
