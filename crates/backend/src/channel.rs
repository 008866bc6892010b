//! Channels and their partitions.

use std::fmt;

use handbell_protocol::{Lane, Topic};
use serde::{Deserialize, Serialize};

/// What a channel is for. Each class has its own retention and permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Events on topics.
    Ev,
    /// Direct work and replies; the topic is the queue's name.
    Inbox,
    /// Events that a group has failed and tries again; the topic is the group.
    Retry,
    /// Dead letters; the topic is the one on which the event failed.
    Dlq,
    /// Heartbeats and signals between members; kept for a minute, need not be durable.
    Members,
    /// Events on topics that outside clients share, as they lie under the
    /// topics' own names: each topic is a log of its own, with partition 0 and
    /// the regular lane only. There are none but those in
    /// [`crate::Capabilities::shared`].
    Shared,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Ev, Self::Inbox, Self::Retry, Self::Dlq, Self::Members, Self::Shared];
    /// Those whose channels have partitions and two lanes.
    pub const LANED: [Self; 5] = [Self::Ev, Self::Inbox, Self::Retry, Self::Dlq, Self::Members];

    /// The name as it stands in a broker's subject.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ev => "ev",
            Self::Inbox => "inbox",
            Self::Retry => "retry",
            Self::Dlq => "dlq",
            Self::Members => "members",
            Self::Shared => "shared",
        }
    }
}

/// A channel within a namespace: its records of one partition and lane keep
/// their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    /// What it is for.
    pub class: Class,
    /// The faster or the slower road.
    pub lane: Lane,
    /// The topic, or what stands in its place (see [`Class`]).
    pub topic: Topic,
}

/// One of the partitions of a namespace's channels, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many partitions a namespace has: 1 to 1,024, 32 by default. Stored at
/// first start and refused if changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct PartitionCount(u16);

impl PartitionCount {
    /// `count` partitions, or `None` outside 1 to 1,024.
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        if count >= 1 && count <= 1_024 { Some(Self(count)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Each partition.
    pub fn iter(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition)
    }
}

impl Default for PartitionCount {
    fn default() -> Self {
        Self(32)
    }
}

impl TryFrom<u16> for PartitionCount {
    type Error = &'static str;
    fn try_from(count: u16) -> Result<Self, Self::Error> {
        Self::new(count).ok_or("partitions must lie between 1 and 1024")
    }
}

impl From<PartitionCount> for u16 {
    fn from(count: PartitionCount) -> Self {
        count.0
    }
}

/// The partition of a key: the first 64 bits, little endian, of the key's
/// BLAKE3, modulo the count. Frozen: a change would break every key's order.
#[must_use]
pub fn partition_of(key: &str, count: PartitionCount) -> Partition {
    let digest = blake3::hash(key.as_bytes());
    let bits = u64::from_le_bytes(digest.as_bytes()[..8].try_into().unwrap_or_default());
    Partition((bits % u64::from(count.0)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: see [`partition_of`].
    #[test]
    fn a_key_keeps_its_partition_between_builds() {
        let of = |key| partition_of(key, PartitionCount::default()).0;
        assert_eq!([of(""), of("project-xyz"), of("a")], [15, 4, 23]);
    }

    #[test]
    fn the_count_is_bounded() {
        assert!(PartitionCount::new(0).is_none());
        assert!(PartitionCount::new(1_025).is_none());
    }
}
