//! A stream as Handbell uses it: what lies in it, under which subjects, and
//! which life of it was seen last.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use handbell_backend::{Class, Incarnation, Partition, Position};
use handbell_protocol::{Lane, Timestamp, Topic};

use crate::{api::StreamInfo, layout::Layout};

/// A stream of records.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: Arc<str>,
    pub(crate) class: Class,
    pub(crate) lane: Lane,
    /// How positions name it: empty where a class and lane have only one.
    pub(crate) log: Arc<str>,
    /// What the subjects of its records begin with.
    prefix: String,
    /// The one topic of a shared one, which is its subject.
    pub(crate) shared: Option<Topic>,
    incarnation: AtomicU64,
}

impl Stream {
    /// The stream of a class and lane.
    pub(crate) fn of_class(layout: &Layout, class: Class, lane: Lane, info: &StreamInfo) -> Self {
        let (name, prefix) = (layout.stream(class, lane), layout.prefix(class, lane));
        Self { name, class, lane, log: "".into(), prefix, shared: None, incarnation: life(info) }
    }

    /// The stream in which a shared topic lies under its own name.
    pub(crate) fn of_topic(name: Arc<str>, topic: Topic, info: &StreamInfo) -> Self {
        let (class, lane, log) = (Class::Shared, Lane::Regular, topic.as_str().into());
        Self { name, class, lane, log, prefix: String::new(), shared: Some(topic), incarnation: life(info) }
    }

    /// Which life of the stream was seen last.
    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation(self.incarnation.load(Ordering::Relaxed))
    }

    pub(crate) fn seen(&self, info: &StreamInfo) {
        self.incarnation.store(incarnation(info).0, Ordering::Relaxed);
    }

    /// A place in it.
    pub(crate) fn position(&self, partition: Partition, offset: u64, time: Timestamp) -> Position {
        let (class, lane, incarnation) = (self.class, self.lane, self.incarnation());
        Position { log: Arc::clone(&self.log), incarnation, class, lane, partition, offset, time }
    }

    /// Whether a position is one of this class, lane and log, whatever its life.
    pub(crate) fn has(&self, position: &Position) -> bool {
        (position.class, position.lane) == (self.class, self.lane) && position.log == self.log
    }

    /// Where a record lies.
    pub(crate) fn subject(&self, partition: Partition, topic: &Topic) -> String {
        match &self.shared {
            Some(topic) => topic.to_string(),
            None => format!("{}{partition}.{topic}", self.prefix),
        }
    }

    /// The subjects of a topic in any partition.
    pub(crate) fn anywhere(&self, topic: &Topic) -> String {
        match &self.shared {
            Some(topic) => topic.to_string(),
            None => format!("{}*.{topic}", self.prefix),
        }
    }

    /// All its subjects that are ours.
    pub(crate) fn everything(&self) -> String {
        self.shared.as_ref().map_or_else(|| format!("{}>", self.prefix), ToString::to_string)
    }

    /// What the subjects of its records begin with, before the partition.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The partition and topic of a subject; `None` for one that isn't ours.
    pub(crate) fn place(&self, subject: &str) -> Option<(Partition, Topic)> {
        if let Some(topic) = &self.shared {
            return (subject == topic.as_str()).then(|| (Partition(0), topic.clone()));
        }
        let (partition, topic) = subject.strip_prefix(&self.prefix)?.split_once('.')?;
        Some((Partition(partition.parse().ok()?), Topic::parse(topic).ok()?))
    }
}

fn life(info: &StreamInfo) -> AtomicU64 {
    AtomicU64::new(incarnation(info).0)
}

/// The life of a stream: the instant at which it was made, in nanoseconds.
pub(crate) fn incarnation(info: &StreamInfo) -> Incarnation {
    let created = info.created.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_nanosecond);
    Incarnation(u64::try_from(created).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn info() -> StreamInfo {
        let state = json!({ "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "", "last_seq": 0, "last_ts": "" });
        serde_json::from_value(json!({ "config": {}, "created": "2026-01-01T00:00:00Z", "state": state })).unwrap()
    }

    #[test]
    fn a_subject_reads_back() {
        let layout = Layout::new("default".parse().unwrap());
        let topic = Topic::parse("a.b-c_d").unwrap();
        let stream = Stream::of_class(&layout, Class::Ev, Lane::Regular, &info());
        let subject = stream.subject(Partition(7), &topic);
        assert_eq!(subject, "default.ev.regular.7.a.b-c_d");
        assert_eq!(stream.place(&subject), Some((Partition(7), topic)));
        for (class, lane) in [(Class::Dlq, Lane::Regular), (Class::Ev, Lane::Express)] {
            assert_eq!(Stream::of_class(&layout, class, lane, &info()).place(&subject), None);
        }
    }

    #[test]
    fn a_shared_topic_lies_under_its_own_name_only() {
        let topic = Topic::parse("project.tasks").unwrap();
        let stream = Stream::of_topic("any".into(), topic.clone(), &info());
        assert_eq!(stream.subject(Partition(3), &topic), "project.tasks");
        assert_eq!(stream.place("project.tasks"), Some((Partition(0), topic)));
        assert_eq!(stream.place("project.tasks.more"), None);
        assert_eq!(
            stream.position(Partition(0), 5, Timestamp::default()).to_string().split('.').nth(1),
            Some("shared")
        );
    }
}
