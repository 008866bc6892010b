//! Where a reading begins: a [`Start`] as an offset.

use std::collections::BTreeMap;

use handbell_backend::{Class, Incarnation, Partition, Position, Start};
use handbell_protocol::{Lane, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::error::ReadFailure;

/// Where the reading of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    /// Behind this offset.
    pub(crate) after: u64,
    /// What was removed before this instant isn't missed.
    pub(crate) not_before: Option<Timestamp>,
    /// What was removed before the reading began isn't missed.
    pub(crate) oldest: bool,
}

impl Begin {
    const fn behind(after: u64) -> Self {
        Self { after, not_before: None, oldest: false }
    }
}

/// What a start is compared with.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) incarnation: Incarnation,
    pub(crate) class: Class,
    pub(crate) lane: Lane,
    /// The end when the reading was opened.
    pub(crate) end: u64,
}

/// A start without the database's help, or the instant that must be looked up.
pub(crate) enum Resolved {
    Begin(Begin),
    Since(Timestamp),
}

impl Place {
    /// Resolves the start of a partition.
    pub(crate) fn resolve(&self, partition: Partition, start: &Start) -> Resolved {
        match start {
            Start::Oldest => Resolved::Begin(Begin { after: 0, not_before: None, oldest: true }),
            Start::New => Resolved::Begin(Begin::behind(self.end)),
            Start::Time(time) => Resolved::Since(*time),
            Start::At(position) => self.at(partition, position, position.offset.saturating_sub(1)),
            Start::After(position) => self.at(partition, position, position.offset),
        }
    }

    /// A position counts as its time where it isn't one of this partition, or
    /// lies beyond the end: then the log has gone back to an older copy.
    fn at(&self, partition: Partition, position: &Position, after: u64) -> Resolved {
        let ours = position.incarnation == self.incarnation
            && position.class == self.class
            && position.lane == self.lane
            && position.partition == partition
            && position.log.is_empty()
            && after <= self.end;
        if ours { Resolved::Begin(Begin::behind(after)) } else { Resolved::Since(position.time) }
    }
}

/// Looks up all starts of `partitions`.
pub(crate) fn look_up(
    conn: &Connection,
    place: &Place,
    partitions: &BTreeMap<Partition, Start>,
) -> Result<Vec<(Partition, Begin)>, ReadFailure> {
    let begin = |(partition, start): (&Partition, &Start)| {
        let begin = match place.resolve(*partition, start) {
            Resolved::Begin(begin) => begin,
            Resolved::Since(time) => {
                Begin { not_before: Some(time), ..Begin::behind(last_before(conn, place.end, time)?) }
            }
        };
        Ok((*partition, begin))
    };
    partitions.iter().map(begin).collect()
}

/// The last offset up to `end` whose record is older than `time`, or 0: broker
/// times never fall, so halving finds it.
pub(crate) fn last_before(conn: &Connection, end: u64, time: Timestamp) -> rusqlite::Result<u64> {
    let mut statement = conn
        .prepare_cached("SELECT offset, time FROM log WHERE offset >= ?1 AND offset <= ?2 ORDER BY offset LIMIT 1")?;
    // Every record below `low` is older, none from `high` on is.
    let (mut low, mut high, mut last) = (1, end + 1, 0);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = statement
            .query_row((middle.cast_signed(), end.cast_signed()), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        match found {
            Some((offset, at)) if at < time.as_millis() => {
                last = offset.cast_unsigned();
                low = last + 1;
            }
            _ => high = middle,
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(times: &[(u64, i64)]) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE log (offset INTEGER PRIMARY KEY, time INTEGER)").unwrap();
        for (offset, time) in times {
            conn.execute("INSERT INTO log VALUES (?1, ?2)", (offset.cast_signed(), time)).unwrap();
        }
        conn
    }

    proptest! {
        #[test]
        fn halving_finds_the_last_older_record_whatever_the_holes(
            steps in prop::collection::vec((1_u64..4, 0_i64..3), 0..40), time in 0_i64..60
        ) {
            let (mut offset, mut at) = (0, 0);
            let rows: Vec<(u64, i64)> = steps.iter().map(|(o, t)| { offset += o; at += t; (offset, at) }).collect();
            let expected = rows.iter().rev().find(|(_, at)| *at < time).map_or(0, |(offset, _)| *offset);
            prop_assert_eq!(last_before(&log(&rows), offset, Timestamp::from_millis(time)).unwrap(), expected);
        }
    }

    #[test]
    fn a_position_of_another_life_partition_or_beyond_the_end_counts_as_its_time() {
        let place = Place { incarnation: Incarnation(1), class: Class::Ev, lane: Lane::Regular, end: 10 };
        let time = Timestamp::from_millis(77);
        let position = Position {
            log: "".into(),
            incarnation: Incarnation(1),
            class: Class::Ev,
            lane: Lane::Regular,
            partition: Partition(3),
            offset: 5,
            time,
        };
        let since = |position: Position| matches!(place.resolve(Partition(3), &Start::After(position)), Resolved::Since(t) if t == time);
        assert!(!since(position.clone()));
        assert!(since(Position { incarnation: Incarnation(2), ..position.clone() }));
        assert!(since(Position { partition: Partition(4), ..position.clone() }));
        assert!(since(Position { lane: Lane::Express, ..position.clone() }));
        assert!(since(Position { offset: 11, ..position }));
    }
}
