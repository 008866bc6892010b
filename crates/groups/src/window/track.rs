//! How far one log has been read, reserved and handed out.

use std::collections::{BTreeMap, VecDeque};

use handbell_backend::{Class, Position};
use handbell_protocol::{Lane, Priority, Timestamp};

use crate::{Source, entry::Slot};

/// A place in a track's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Point {
    pub(crate) offset: u64,
    pub(crate) time: Timestamp,
}

/// One log in one of its lives.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) source: Source,
    pub(crate) lane: Lane,
    /// The log; its offset and time mean nothing.
    log: Position,
    pub(crate) life: Life,
    /// The highest that may have been handed out once the store under way is durable.
    pub(crate) mark: Option<Point>,
    /// The last that was read.
    pub(crate) read: Point,
    /// The highest that surely was handed out or settled.
    pub(crate) handed: Option<Point>,
    /// Read and not reserved: topics, in order.
    pub(crate) ahead: VecDeque<(Point, Slot)>,
    /// How many of these have the higher of the lane's two priorities.
    pub(crate) urgent: usize,
    /// Read and not reserved: the retry channel, by offset.
    pub(crate) waiting: BTreeMap<u64, Slot>,
}

/// What a track's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It is read.
    Live,
    /// It was made anew: only what is unsettled of it still counts.
    Past,
    /// It went back: its offsets name other records now.
    Ghost,
}

impl Track {
    /// A log of which nothing was read.
    pub(crate) fn new(position: &Position) -> Self {
        Self {
            source: if position.class == Class::Retry { Source::Retry } else { Source::Topic },
            lane: position.lane,
            log: position.clone(),
            life: Life::Live,
            mark: None,
            read: Point::default(),
            handed: None,
            ahead: VecDeque::new(),
            urgent: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// A log that was handed out up to a position.
    pub(crate) fn at(position: &Position) -> Self {
        let point = Point { offset: position.offset, time: position.time };
        Self { mark: Some(point), handed: Some(point), read: point, ..Self::new(position) }
    }

    pub(crate) fn position(&self, point: Point) -> Position {
        Position { offset: point.offset, time: point.time, ..self.log.clone() }
    }

    /// Whether a position counts in this track.
    pub(crate) fn counts(&self, position: &Position) -> bool {
        self.life != Life::Ghost && self.log.comparable(position)
    }

    /// Whether it is the same log, in whatever life.
    pub(crate) fn is_of_log(&self, position: &Position) -> bool {
        self.log.class == position.class && self.log.lane == position.lane && self.log.log == position.log
    }

    pub(crate) fn is_of(&self, source: Source, lane: Lane) -> bool {
        self.source == source && self.lane == lane
    }

    /// The lane's two priorities, the higher one first.
    pub(crate) fn priorities(&self) -> [Priority; 2] {
        match self.lane {
            Lane::Express => [Priority::Critical, Priority::High],
            Lane::Regular => [Priority::Normal, Priority::Low],
        }
    }

    /// A record was handed out or settled.
    pub(crate) fn hand(&mut self, point: Point) {
        if self.handed.is_none_or(|handed| handed.offset < point.offset) {
            self.handed = Some(point);
        }
    }
}
