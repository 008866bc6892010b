//! Where an event goes: the records that a publish stores.

use std::sync::Arc;

use handbell_backend::{Class, Dedup, Headers, Outgoing, PartitionCount, partition_of};
use handbell_delivery::inbox::{agent_topic, topic_of};
use handbell_protocol::{AgentName, Envelope, Target, Topic};

/// What a publish stores, but for where.
pub(super) struct Letter {
    /// The event.
    pub(super) envelope: Arc<Envelope>,
    /// What Handbell says beside it.
    pub(super) headers: Headers,
    /// By what a repeat is recognised.
    pub(super) dedup: Dedup,
}

/// The records of a publish: one, except for `all`, which is one for the
/// record and a copy for each agent that is there.
pub(super) fn records_of(letter: Letter, present: Vec<AgentName>, partitions: PartitionCount) -> Vec<Outgoing> {
    let routing = &letter.envelope.routing;
    let (class, topic) = match (&routing.topic, &routing.to) {
        (Some(topic), _) => (Class::Ev, topic.clone()),
        (None, Some(target)) => (Class::Inbox, topic_of(target).unwrap_or_else(all_topic)),
        (None, None) => unreachable!("a completed envelope has a topic or an address"),
    };
    let key = routing.partition_key.clone().unwrap_or_else(|| letter.envelope.event.id.clone());
    let to_all = matches!(routing.to, Some(Target::All));
    let sender = letter.envelope.event.source.clone();
    let outgoing = |class, topic: Topic, dedup| Outgoing {
        partition: partition_of(if class == Class::Ev { &key } else { topic.as_str() }, partitions),
        class,
        topic,
        envelope: letter.envelope.clone(),
        headers: letter.headers.clone(),
        dedup: Some(dedup),
    };
    let mut records = vec![outgoing(class, topic, letter.dedup.clone())];
    if to_all {
        for agent in present.into_iter().filter(|agent| agent.as_str() != sender) {
            let dedup = Dedup { key: format!("{}@{agent}", letter.dedup.key), digest: None };
            records.push(outgoing(Class::Inbox, agent_topic(&agent), dedup));
        }
    }
    records
}

/// Where the one record of an event for `all` lies that isn't for anybody.
fn all_topic() -> Topic {
    Topic::parse("all").expect("one segment is a topic")
}
