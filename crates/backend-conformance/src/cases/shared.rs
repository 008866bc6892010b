//! Topics that are shared with outside clients: stored under their own names,
//! forwarded once by one member.

use std::{collections::BTreeSet, sync::Arc};

use handbell_backend::{Backend, Class, Partition, Record, Start, TailSpec, header, partition_of};
use handbell_delivery::Member;
use handbell_protocol::{Lane, Topic};

use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Crew, Draft, Hand, Reading, event, group, number, numbers, put_all, read_all, within},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Shared,
        a_shared_topics_event_lies_under_its_own_name_and_reaches_groups_once,
        "An agent's publish on a shared topic is stored under the topic's own name only, its position is there; what is forwarded says where it lay."
    )
    .needs(&[Need::Shared]),
    case!(
        Shared,
        what_others_write_on_a_shared_topic_is_forwarded_by_key,
        "All of a shared topic is forwarded into the partition of its key, in order for each key."
    )
    .needs(&[Need::Shared]),
    case!(
        Shared,
        a_shared_topic_goes_on_when_its_forwarder_is_lost,
        "One member forwards; when it is lost another one goes on where it was, and one that wakes up is fenced: nothing is missing, nothing comes twice."
    )
    .needs(&[Need::Shared]),
];

fn draft(topic: &Topic, n: u64) -> Outcome<Draft> {
    Ok(event(topic.as_str(), n)?.key(&format!("k{}", n % 5)))
}

/// What the topic itself has.
fn itself(topic: &Topic) -> TailSpec {
    let partitions = [(Partition(0), Start::Oldest)].into();
    TailSpec { class: Class::Shared, lane: Lane::Regular, topics: vec![topic.into()], partitions }
}

/// The partitioned channel, as groups read it.
fn channel(backend: &dyn Backend, topic: &Topic) -> TailSpec {
    let partitions = backend.capabilities().partitions.iter().map(|partition| (partition, Start::Oldest)).collect();
    TailSpec { class: Class::Ev, lane: Lane::Regular, topics: vec![topic.into()], partitions }
}

/// As an outside client writes: on the topic itself, without any word of ours.
async fn write(backend: &dyn Backend, topic: &Topic, numbers: std::ops::Range<u64>) -> Outcome {
    let drafts = numbers.map(|n| Ok(draft(topic, n)?.class(Class::Shared))).collect::<Outcome<_>>()?;
    put_all(backend, drafts).await.map(drop)
}

async fn a_shared_topics_event_lies_under_its_own_name_and_reaches_groups_once(bench: Bench) -> Outcome {
    let (backend, topic) = bench.open_shared().await?;
    let member = Member::join(Arc::clone(&backend), bench.options()).await?;
    let mut crew = Crew::new([Hand::group(&member, group("g", &[topic.as_str()])?, 8).await?]);
    let partitions = backend.capabilities().partitions;
    let mut places = vec![];
    // Each twice: the second is a repeat, told with the first's position.
    for duplicate in [false, true] {
        let batch = (0..20).map(|n| Ok(draft(&topic, n)?.id(&format!("e{n}")).digest(&format!("p/{n}"), n)));
        let batch: Vec<_> =
            batch.collect::<Outcome<Vec<Draft>>>()?.into_iter().map(|d| d.outgoing(partitions)).collect();
        let receipts = within("receipts", within("a batch is taken", member.publish(batch)).await??).await?;
        let stored = receipts.into_iter().collect::<Result<Vec<_>, _>>()?;
        ensure!(stored.iter().all(|stored| stored.duplicate == duplicate), "duplicate must be {duplicate}: {stored:?}");
        places.push(stored.into_iter().map(|stored| stored.position).collect::<Vec<_>>());
    }
    ensure_eq!(places[0], places[1], "the positions of repeats");
    let records = read_all(&*backend, itself(&topic)).await?;
    ensure_eq!(numbers(&records), (0..20).collect::<Vec<_>>(), "what lies on the topic itself");
    let read: Vec<_> = records.iter().map(|record| record.position.clone()).collect();
    ensure_eq!(read, places[0], "positions of receipts and of records");
    ensure!(read.iter().all(|place| place.class == Class::Shared && place.partition == Partition(0)), "{read:?}");
    let fetched = within("fetch", backend.fetch(&read[..1])).await??;
    ensure_eq!(fetched[0].as_ref().map(|record| number(record)), Some(0), "what is fetched by its position");
    for done in crew.exactly(0..20).await? {
        ensure_eq!(done.attempt, 1, "the attempt of number {}", done.number);
    }
    let copies = read_all(&*backend, channel(&*backend, &topic)).await?;
    ensure_eq!(copies.len(), 20, "copies in the partitioned channel");
    for copy in copies {
        let n = number(&copy);
        let origin = copy.headers.get(header::ORIGIN).and_then(|origin| origin.parse().ok());
        ensure_eq!(origin, Some(places[0][n as usize].clone()), "where number {n} says that it lay");
        ensure_eq!(copy.envelope.event.id, format!("e{n}"), "its ID");
    }
    Ok(())
}

async fn what_others_write_on_a_shared_topic_is_forwarded_by_key(bench: Bench) -> Outcome {
    let (backend, topic) = bench.open_shared().await?;
    // Before anybody of Handbell was there, and after.
    write(&*backend, &topic, 0..300).await?;
    let _member = Member::join(Arc::clone(&backend), bench.options()).await?;
    write(&*backend, &topic, 300..600).await?;
    let mut reading = Reading::open(&*backend, channel(&*backend, &topic)).await?;
    let records = reading.take(600).await?;
    in_order(&records, 600)?;
    let partitions = backend.capabilities().partitions;
    for record in &records {
        let key = record.envelope.routing.partition_key.as_deref().unwrap_or_default();
        ensure_eq!(record.position.partition, partition_of(key, partitions), "the partition of key {key}");
    }
    let dedup = BTreeSet::from_iter(records.iter().map(|record| record.envelope.event.id.clone()));
    ensure_eq!(dedup.len(), 600, "distinct IDs");
    reading.nothing().await
}

/// All numbers once, each key's in order.
fn in_order(records: &[Arc<Record>], count: u64) -> Outcome {
    let mut all = numbers(records);
    for key in 0..5 {
        let row: Vec<_> = all.iter().filter(|n| **n % 5 == key).collect();
        ensure!(row.is_sorted(), "key {key} is out of order: {row:?}");
    }
    all.sort_unstable();
    ensure_eq!(all, (0..count).collect::<Vec<_>>(), "what is forwarded");
    Ok(())
}

async fn a_shared_topic_goes_on_when_its_forwarder_is_lost(bench: Bench) -> Outcome {
    let (backend, topic) = bench.open_shared().await?;
    let mut reading = Reading::open(&*backend, channel(&*backend, &topic)).await?;
    let (lost, plug) = bench.plugged_shared_member().await?;
    write(&*backend, &topic, 0..100).await?;
    let mut records = reading.take(100).await?;
    // In the midst of it, or before: nobody can know.
    write(&*backend, &topic, 100..200).await?;
    plug.pull();
    let next = Member::join(Arc::clone(&backend), bench.options()).await?;
    write(&*backend, &topic, 200..300).await?;
    records.extend(reading.take(300 - records.len()).await?);
    // It wakes up and goes on with what it had read.
    plug.put_back();
    write(&*backend, &topic, 300..400).await?;
    records.extend(reading.take(400 - records.len()).await?);
    in_order(&records, 400)?;
    reading.nothing().await?;
    next.leave().await;
    write(&*backend, &topic, 400..410).await?;
    records.extend(reading.take(410 - records.len()).await?);
    in_order(&records, 410)?;
    drop(lost);
    reading.nothing().await
}
