//! Positions: where a record lies, in which life of which log.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use handbell_protocol::{Lane, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Class, Partition};

/// Which life of a log a position belongs to: a log that was deleted and made
/// again, or put back to an older copy, has another one, so that an old
/// position is never taken for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// Where a record lies. Offsets of one (log, partition, lane) and incarnation
/// grow with the order of storing and are never used again; they need not be dense.
///
/// Two positions are equal when they name the same place, whatever time they carry.
#[derive(Clone, Debug)]
pub struct Position {
    /// The log that counts the offset, as the backend names it: a stream, a
    /// Kafka topic. Empty where a class and lane have only one.
    pub log: Arc<str>,
    /// The log's life.
    pub incarnation: Incarnation,
    /// The record's class.
    pub class: Class,
    /// The record's lane.
    pub lane: Lane,
    /// The record's partition.
    pub partition: Partition,
    /// The record's place; 0 is before the first.
    pub offset: u64,
    /// When the broker stored it. In a receipt it may be a little earlier: not
    /// before the record was handed over, where the broker doesn't tell more.
    pub time: Timestamp,
}

impl PartialEq for Position {
    fn eq(&self, other: &Self) -> bool {
        self.comparable(other) && self.offset == other.offset
    }
}

impl Eq for Position {}

impl Hash for Position {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.incarnation, self.class, self.lane, self.partition, self.offset).hash(state);
    }
}

impl Position {
    /// Whether both count in the same row, so that their offsets compare.
    #[must_use]
    pub fn comparable(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation
            && self.class == other.class
            && self.lane == other.lane
            && self.partition == other.partition
            && self.log == other.log
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p1.{}.{}.{}.{:x}.{:x}.{:x}.{}",
            self.class.as_str(),
            self.lane.as_str(),
            self.partition,
            self.incarnation.0,
            self.offset,
            self.time.as_millis(),
            self.log
        )
    }
}

/// A text that is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a position; give one that a published or deliver frame had")]
pub struct BadPosition(String);

impl std::str::FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        read(text).ok_or_else(|| BadPosition(text.chars().take(100).collect()))
    }
}

fn read(text: &str) -> Option<Position> {
    let mut parts = text.splitn(8, '.');
    if parts.next()? != "p1" {
        return None;
    }
    let class = parts.next()?;
    let lane = parts.next()?;
    Some(Position {
        class: Class::ALL.into_iter().find(|c| c.as_str() == class)?,
        lane: Lane::ALL.into_iter().find(|l| l.as_str() == lane)?,
        partition: Partition(parts.next()?.parse().ok()?),
        incarnation: Incarnation(u64::from_str_radix(parts.next()?, 16).ok()?),
        offset: u64::from_str_radix(parts.next()?, 16).ok()?,
        time: Timestamp::from_millis(i64::from_str_radix(parts.next()?, 16).ok()?),
        log: parts.next()?.into(),
    })
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back() {
        let position = Position {
            log: "a.log.with.dots".into(),
            incarnation: Incarnation(u64::MAX),
            class: Class::Retry,
            lane: Lane::Express,
            partition: Partition(31),
            offset: 77,
            time: Timestamp::from_millis(1_763_000_000_000),
        };
        assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        for bad in ["", "p1", "p2.ev.regular.0.0.0.0.", "p1.ev.regular.x.0.0.0.", "p1.ev.slow.0.0.0.0."] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
