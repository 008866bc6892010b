//! What a reading wants, as the broker's filters and as our own.

use std::collections::BTreeSet;

use handbell_backend::Partition;
use handbell_protocol::{Topic, TopicPattern};

use crate::{core::Core, stream::Stream};

/// More filters than this are asked for as fewer and wider ones.
const MAX_FILTERS: usize = 256;

/// What a reading wants.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    topics: Vec<TopicPattern>,
    /// `None`: all of them.
    partitions: Option<BTreeSet<Partition>>,
    /// The broker's filters: never too narrow, and no two of them overlap.
    pub(crate) subjects: Vec<String>,
}

impl Wanted {
    pub(crate) fn new(
        core: &Core,
        stream: &Stream,
        topics: &[TopicPattern],
        partitions: impl Iterator<Item = Partition>,
    ) -> Self {
        let partitions: BTreeSet<Partition> = partitions.collect();
        let all = core.options.partitions.iter().all(|partition| partitions.contains(&partition));
        let partitions = (!all).then_some(partitions);
        let topics = reduced(topics);
        match &stream.shared {
            Some(_) => Self { topics, partitions: None, subjects: vec![stream.everything()] },
            None => {
                let subjects = subjects(stream.prefix(), &topics, partitions.as_ref());
                Self { topics, partitions, subjects }
            }
        }
    }

    /// Whether a record that the broker's filters let through is wanted.
    pub(crate) fn wants(&self, partition: Partition, topic: &Topic) -> bool {
        self.partitions.as_ref().is_none_or(|wanted| wanted.contains(&partition))
            && (self.topics.is_empty() || self.topics.iter().any(|pattern| pattern.matches(topic)))
    }
}

/// Without the patterns that another one covers.
fn reduced(topics: &[TopicPattern]) -> Vec<TopicPattern> {
    let topics: BTreeSet<&TopicPattern> = topics.iter().collect();
    let covered = |pattern: &TopicPattern| topics.iter().any(|other| *other != pattern && other.covers(pattern));
    topics.iter().copied().filter(|pattern| !covered(pattern)).cloned().collect()
}

fn subjects(prefix: &str, topics: &[TopicPattern], partitions: Option<&BTreeSet<Partition>>) -> Vec<String> {
    let overlap = topics.iter().enumerate().any(|(n, a)| topics[n + 1..].iter().any(|b| overlap(a, b)));
    let mut topics: Vec<&str> = topics.iter().map(TopicPattern::as_str).collect();
    if topics.is_empty() || overlap || topics.len() > MAX_FILTERS {
        topics = vec![">"];
    }
    let any = || vec!["*".to_owned()];
    let partitions = partitions.map_or_else(any, |list| list.iter().map(ToString::to_string).collect());
    let partitions = if partitions.len() * topics.len() > MAX_FILTERS { any() } else { partitions };
    if partitions == ["*"] && topics == [">"] {
        return vec![format!("{prefix}>")];
    }
    let of = |partition: &String| topics.iter().map(|topic| format!("{prefix}{partition}.{topic}")).collect::<Vec<_>>();
    partitions.iter().flat_map(of).collect()
}

/// Whether a topic could match both.
fn overlap(a: &TopicPattern, b: &TopicPattern) -> bool {
    let (mut a, mut b) = (a.as_str().split('.'), b.as_str().split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(x), Some(y)) if x == "*" || y == "*" || x == y => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(topics: &[&str], partitions: Option<&[u16]>) -> Vec<String> {
        let topics: Vec<_> = topics.iter().map(|topic| TopicPattern::parse(topic).unwrap()).collect();
        let partitions = partitions.map(|list| list.iter().copied().map(Partition).collect());
        subjects("n.ev.regular.", &reduced(&topics), partitions.as_ref())
    }

    #[test]
    fn the_brokers_filters_never_overlap() {
        assert_eq!(filters(&[], None), ["n.ev.regular.>"]);
        assert_eq!(filters(&["a.b", "a.*", "a.>", "b"], None), ["n.ev.regular.*.a.>", "n.ev.regular.*.b"]);
        assert_eq!(filters(&["a"], Some(&[1, 3])), ["n.ev.regular.1.a", "n.ev.regular.3.a"]);
        // Neither covers the other, and a.b.c matches both.
        assert_eq!(filters(&["a.*.c", "a.b.*"], Some(&[1])), ["n.ev.regular.1.>"]);
        assert_eq!(filters(&["*.a", "b"], None), ["n.ev.regular.*.*.a", "n.ev.regular.*.b"]);
    }

    #[test]
    fn many_filters_become_wider_ones() {
        let topics: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        assert_eq!(filters(&topics, Some(&[1, 2, 3, 4, 5, 6, 7])).len(), 40);
    }
}
