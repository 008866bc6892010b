//! What an embedded log is opened with.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use handbell_backend::{Class, PartitionCount};
use handbell_protocol::{Timestamp, Topic, TopicPattern};

/// The largest event by default: 960 KiB.
pub const DEFAULT_MAX_EVENT: usize = 983_040;

/// How long inboxes keep their records, unless a rule says otherwise.
const INBOX_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long heartbeats and signals between members are kept.
const MEMBERS_AGE: Duration = Duration::from_secs(60);

/// What an embedded log is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it lies.
    pub place: Place,
    /// How many partitions each namespace has; stored at first start and
    /// refused if changed.
    pub partitions: PartitionCount,
    /// What is removed when. The first rule that matches a topic counts; topics
    /// without a rule are kept for ever, inboxes for 7 days. Dead letters and
    /// the retry channel are never trimmed, whatever a rule says.
    pub retention: Vec<Retention>,
    /// The largest event in bytes. Handbell's own headers may come on top, up
    /// to 64 KiB, so that whatever was published can also be dead-lettered.
    pub max_event: usize,
    /// The largest size of the database in bytes; when it is reached, writing
    /// fails as on a full disk. `None`: the disk is the limit.
    pub max_bytes: Option<u64>,
    /// How many of the newest records of each class and lane are kept in memory
    /// for readers that are level: 4,096 by default.
    pub recent_records: usize,
    /// How many bytes of them: 4 MiB by default.
    pub recent_bytes: usize,
    /// The wall clock from which broker times come.
    pub clock: Clock,
}

impl Options {
    /// A log in the directory `dir`, which is made if it isn't there.
    #[must_use]
    pub fn dir(dir: impl Into<PathBuf>) -> Self {
        Self::at(Place::Dir(dir.into()))
    }

    /// A log in memory, gone when it is closed: for tests and trials.
    #[must_use]
    pub fn memory() -> Self {
        Self::at(Place::Memory)
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            partitions: PartitionCount::default(),
            retention: Vec::new(),
            max_event: DEFAULT_MAX_EVENT,
            max_bytes: None,
            recent_records: 4_096,
            recent_bytes: 4 * 1_024 * 1_024,
            clock: Clock::default(),
        }
    }

    /// The same for the class `members`, which lives in memory.
    pub(crate) fn for_members(&self) -> Self {
        Self { place: Place::Memory, max_bytes: None, retention: Vec::new(), ..self.clone() }
    }

    /// What may be removed of a topic: its age and its bytes.
    pub(crate) fn limits(&self, class: Class, topic: &Topic) -> (Option<Duration>, Option<u64>) {
        if matches!(class, Class::Dlq | Class::Retry) {
            return (None, None);
        }
        let fits = |rule: &&Retention| rule.class == class && rule.topics.matches(topic);
        match (self.retention.iter().find(fits), class) {
            (Some(rule), _) => (rule.age, rule.bytes),
            (None, Class::Inbox) => (Some(INBOX_AGE), None),
            (None, Class::Members) => (Some(MEMBERS_AGE), None),
            (None, _) => (None, None),
        }
    }
}

/// Where a log lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a directory of its own, used by one process at a time.
    Dir(PathBuf),
    /// In memory.
    Memory,
}

/// How long and how much of some topics is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The class that the rule is for.
    pub class: Class,
    /// The topics that it is for.
    pub topics: TopicPattern,
    /// Records older than this are removed. `None`: whatever their age.
    pub age: Option<Duration>,
    /// When a topic has more bytes than this, its oldest records are removed;
    /// both lanes count. `None`: whatever their size.
    pub bytes: Option<u64>,
}

/// Where the time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    fn rule(class: Class, topics: &str, age: u64) -> Retention {
        let topics = TopicPattern::parse(topics).unwrap();
        Retention { class, topics, age: Some(Duration::from_secs(age)), bytes: None }
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let mut options = Options::memory();
        options.retention = vec![rule(Class::Ev, "a.*", 1), rule(Class::Ev, ">", 2)];
        assert_eq!(options.limits(Class::Ev, &topic("a.b")).0, Some(Duration::from_secs(1)));
        assert_eq!(options.limits(Class::Ev, &topic("b")).0, Some(Duration::from_secs(2)));
    }

    #[test]
    fn dead_letters_and_retries_are_never_trimmed_and_inboxes_after_seven_days() {
        let mut options = Options::memory();
        options.retention = vec![rule(Class::Dlq, ">", 1), rule(Class::Retry, ">", 1)];
        for class in [Class::Dlq, Class::Retry, Class::Ev] {
            assert_eq!(options.limits(class, &topic("a")), (None, None), "{class:?}");
        }
        assert_eq!(options.limits(Class::Inbox, &topic("a")).0, Some(Duration::from_secs(604_800)));
    }
}
