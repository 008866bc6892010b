//! What is read of a partition: both lanes of its topics and of its retry
//! channel, each opened and closed for itself.
//!
//! A partition's topics aren't read on while too much of it is unsettled or
//! read ahead. Its retry channel always is, and always has room in the cursor:
//! what topics wait for may lie there. The express lane always has room
//! beside the regular one.

use handbell_protocol::{Lane, Priority};

use super::{Stage, Window, track::Life};
use crate::{Begin, Output, Reading, Source, UNSETTLED_MAX, member::Member};

/// Entries of topics at which the regular lane isn't read on.
const REGULAR_MAX: usize = UNSETTLED_MAX * 3 / 4;
/// Entries of topics at which the express lane isn't read on; the rest is the
/// retry channel's.
pub(super) const TOPICS_MAX: usize = UNSETTLED_MAX * 7 / 8;
/// Waiting records of the retry channel at which topics aren't read on.
const WAITING_MAX: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) source: Source,
    pub(super) lane: Lane,
    pub(super) reading: Option<Reading>,
    /// Everything that was there when it was opened has been read.
    pub(super) level: bool,
}

impl Stream {
    pub(super) fn all() -> [Self; 4] {
        let of = |source, lane| Self { source, lane, reading: None, level: false };
        let [express, regular] = Lane::ALL;
        [of(Source::Retry, express), of(Source::Retry, regular), of(Source::Topic, express), of(Source::Topic, regular)]
    }
}

impl Window {
    pub(super) fn stream_of(&self, reading: Reading) -> Option<usize> {
        self.streams.iter().position(|stream| stream.reading == Some(reading))
    }

    /// A reading has handed in what was there when it was opened.
    pub(crate) fn level(&mut self, reading: Reading) {
        if let Some(stream) = self.stream_of(reading) {
            self.streams[stream].level = true;
        }
    }

    pub(super) fn open_stream(&mut self, member: &mut Member, index: usize, out: &mut Vec<Output>) {
        let begin = self.begin(index);
        let partition = self.partition;
        let stream = &mut self.streams[index];
        if stream.reading.is_none() {
            let number = member.number();
            let reading = Reading { partition, source: stream.source, lane: stream.lane, number };
            stream.reading = Some(reading);
            stream.level = false;
            out.push(Output::Open { reading, begin });
        }
    }

    pub(super) fn close_stream(&mut self, index: usize, out: &mut Vec<Output>) {
        if let Some(reading) = self.streams[index].reading.take() {
            out.push(Output::Close { reading });
        }
    }

    pub(super) fn close_streams(&mut self, out: &mut Vec<Output>) {
        (0..self.streams.len()).for_each(|index| self.close_stream(index, out));
    }

    fn begin(&self, index: usize) -> Begin {
        let Stream { source, lane, .. } = self.streams[index];
        let live = self.tracks.iter().filter(|track| track.is_of(source, lane) && track.life == Life::Live);
        let after: Vec<_> = live.map(|track| track.position(track.read)).collect();
        if after.is_empty() { Begin::Start } else { Begin::After(after) }
    }

    /// Reads topics as far as there is room.
    pub(super) fn adjust_streams(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        if self.stage != Stage::Open || self.releasing {
            return;
        }
        for index in 0..self.streams.len() {
            let Stream { source, lane, reading, .. } = self.streams[index];
            if source == Source::Retry {
                continue;
            }
            match reading {
                Some(_) if self.is_full(member, lane, false) => self.close_stream(index, out),
                None if !self.is_full(member, lane, true) => self.open_stream(member, index, out),
                _ => {}
            }
        }
    }

    /// How much of topics may be read although what is read ahead fills its bounds.
    pub(crate) fn room(&self, member: &Member) -> usize {
        let open = self.streams.iter().any(|s| s.source == Source::Topic && s.reading.is_some());
        if open { member.share.saturating_sub(self.idle) } else { 0 }
    }

    /// Whether there is too much of the partition; before it is read on there
    /// must be half the room.
    fn is_full(&self, member: &Member, lane: Lane, closed: bool) -> bool {
        let max = if lane == Lane::Express { TOPICS_MAX } else { REGULAR_MAX };
        let waiting: usize = self.tracks.iter().map(|track| track.waiting.len()).sum();
        let part = |max: usize| if closed { max / 2 } else { max };
        let crowded = member.is_crowded(closed) && self.idle >= part(member.share) && (closed || member.is_starved());
        self.topics.max(self.reserved) >= part(max).max(1) || waiting >= part(WAITING_MAX) || crowded
    }
}

impl Member {
    /// Whether consumers could have more, but what is read ahead waits for
    /// its keys: then the partitions that fill it make room for others.
    fn is_starved(&self) -> bool {
        self.hunger(Priority::Low)
    }

    /// Whether what is read ahead fills its bounds.
    pub(crate) fn is_crowded(&self, closed: bool) -> bool {
        let part = |max: usize| if closed { (max / 2).max(1) } else { max };
        self.ahead.events >= part(self.config.read_ahead_events)
            || self.ahead.bytes >= part(self.config.read_ahead_bytes)
    }
}
