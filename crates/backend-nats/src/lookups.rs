//! Looking without reading on: ends, single records, lag, topics.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use handbell_backend::{BackendError, Class, Fault, Partition, Position, Record, TailSpec, TopicInfo};
use handbell_protocol::{Lane, Topic};
use serde_json::json;

use crate::{
    api::instant, cells::subjects, core::Core, error::Trouble, filters::Wanted, get::Which, message::decode_record,
    starts::Place, stream::Stream,
};

/// How many questions are under way at a time.
const AT_A_TIME: usize = 64;

/// The end of each partition: the stream's, since all count in one row. Each
/// shared topic has one partition.
pub(crate) async fn ends(core: &Core, class: Class, lane: Lane) -> Result<Vec<(Partition, Position)>, Trouble> {
    let mut ends = Vec::new();
    for stream in core.streams_of(class).into_iter().filter(|stream| stream.lane == lane) {
        let info = core.look(stream).await?;
        let time = if info.state.last_seq == 0 { core.clock.at_least() } else { instant(&info.state.last_ts) };
        let end = |partition| (partition, stream.position(partition, info.state.last_seq, time));
        match stream.shared {
            Some(_) => ends.push(end(Partition(0))),
            None => ends.extend(core.options.partitions.iter().map(end)),
        }
    }
    Ok(ends)
}

/// The records at these positions.
pub(crate) async fn fetch(core: &Core, positions: &[Position]) -> Result<Vec<Option<Arc<Record>>>, BackendError> {
    let one = |position: Position| async move { fetch_one(core, &position).await };
    stream::iter(positions.to_vec()).map(one).buffered(AT_A_TIME).try_collect().await
}

async fn fetch_one(core: &Core, position: &Position) -> Result<Option<Arc<Record>>, BackendError> {
    let Some(stream) = core.stream_at(position) else { return Ok(None) };
    if position.incarnation != stream.incarnation() || position.offset == 0 {
        return Ok(None);
    }
    let doing = || format!("fetch {position}");
    let raw = core.asker.get(&stream.name, &Which::at(position.offset)).await;
    let Some(raw) = raw.map_err(|trouble| trouble.reading(doing()))? else { return Ok(None) };
    let record = decode_record(stream, &raw);
    let record = record.map_err(|why| BackendError::new(Fault::Corrupt, doing(), why))?;
    Ok(record.filter(|record| record.position.partition == position.partition).map(Arc::new))
}

/// How many records a tail would hand out: the broker counts what a consumer
/// would get from each place where partitions begin.
pub(crate) async fn lag(core: &Core, stream: &Arc<Stream>, spec: &TailSpec) -> Result<u64, Trouble> {
    let info = core.look(stream).await?;
    let place = Place::new(stream, &info);
    let mut places = BTreeMap::<u64, Vec<Partition>>::new();
    for (partition, begin) in place.begins(core, &spec.partitions).await? {
        places.entry(begin.after).or_default().push(partition);
    }
    // Behind the end there is nothing to count.
    places.retain(|after, _| *after < place.last);
    let counts = places.into_iter().map(|(after, partitions)| count(core, stream, spec, after, partitions));
    Ok(try_join_all(counts).await?.into_iter().sum())
}

async fn count(
    core: &Core,
    stream: &Stream,
    spec: &TailSpec,
    after: u64,
    partitions: Vec<Partition>,
) -> Result<u64, Trouble> {
    let wanted = Wanted::new(core, stream, &spec.topics, partitions.into_iter());
    let (stream, name) = (&stream.name, core.fresh_name());
    let config = json!({
        "name": name, "deliver_policy": "by_start_sequence", "opt_start_seq": after + 1,
        "ack_policy": "none", "replay_policy": "instant", "mem_storage": true, "num_replicas": 1,
        "inactive_threshold": 5_000_000_000_u64, "filter_subjects": wanted.subjects,
    });
    let info = core.asker.make_consumer(stream, &name, &config).await?;
    core.asker.drop_consumer(stream, &name).await;
    Ok(info.num_pending)
}

/// The topics of a class that have records, both lanes together.
pub(crate) async fn topics(core: &Core, class: Class) -> Result<Vec<TopicInfo>, Trouble> {
    let mut topics = BTreeMap::<Topic, TopicInfo>::new();
    for stream in core.streams_of(class) {
        for info in try_join_all(channels(core, stream).await?).await?.into_iter().flatten() {
            merge(&mut topics, info);
        }
    }
    Ok(topics.into_values().collect())
}

/// The topics of one stream, each with a question for its oldest and newest.
async fn channels(
    core: &Core,
    stream: &Stream,
) -> Result<impl Iterator<Item = impl Future<Output = Result<Option<TopicInfo>, Trouble>>>, Trouble> {
    let info = core.look(stream).await?;
    // The broker counts bytes for a whole stream only.
    let mean = info.state.bytes.checked_div(info.state.messages).unwrap_or(0);
    let mut counts = BTreeMap::<Topic, u64>::new();
    for (subject, count) in subjects(core, &stream.name, &stream.everything()).await? {
        if let Some((_, topic)) = stream.place(&subject) {
            *counts.entry(topic).or_default() += count;
        }
    }
    Ok(counts.into_iter().map(move |(topic, records)| channel(core, stream, topic, records, mean)))
}

async fn channel(
    core: &Core,
    stream: &Stream,
    topic: Topic,
    records: u64,
    mean: u64,
) -> Result<Option<TopicInfo>, Trouble> {
    let subject = stream.anywhere(&topic);
    let oldest = core.asker.get(&stream.name, &Which::first_of(subject.clone())).await?;
    let newest = core.asker.get(&stream.name, &Which::last_of(subject)).await?;
    // Retention may have taken the last one meanwhile.
    let (Some(oldest), Some(newest)) = (oldest, newest) else { return Ok(None) };
    Ok(Some(TopicInfo { topic, records, bytes: records * mean, oldest: oldest.time, newest: newest.time }))
}

fn merge(topics: &mut BTreeMap<Topic, TopicInfo>, info: TopicInfo) {
    let known = topics.entry(info.topic.clone());
    known
        .and_modify(|known| {
            known.records += info.records;
            known.bytes += info.bytes;
            known.oldest = known.oldest.min(info.oldest);
            known.newest = known.newest.max(info.newest);
        })
        .or_insert(info);
}
