//! Making a window of a cursor, up to the first record handed out.
//!
//! A claim stores the cursor once before anything else. Then what is
//! unsettled is fetched, so that its keys are known; then the retry channel
//! is read to its end, because an earlier record of a key may wait there; and
//! only then are topics read.

use std::collections::HashMap;

use handbell_backend::{CellVersion, Partition, Position};
use handbell_protocol::Timestamp;

use super::{
    Window,
    stores::Stores,
    streams::Stream,
    track::{Life, Point, Track},
};
use crate::{
    Alarm, Cursor, Output, Source, State, Suspicion, Unsettled,
    entry::{Entry, Slots, Standing},
    keys::Keys,
    member::Member,
};

/// How far a new holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The claim is being stored, what is unsettled is being fetched.
    Claiming,
    /// The retry channel is read to its end.
    Retries,
    /// Records are handed out.
    Open,
}

impl Window {
    /// A claim: what `cursor` says, as this member takes it over. Stored with
    /// the next [`Window::pump`].
    pub(crate) fn claim(
        member: &mut Member,
        now: Timestamp,
        partition: Partition,
        found: Option<(Cursor, CellVersion)>,
        ends: &[Position],
        out: &mut Vec<Output>,
    ) -> Self {
        let version = found.as_ref().map(|(_, version)| *version);
        let mut window = Self::empty(member, partition, version);
        if let Some((cursor, _)) = found {
            window.load(member, now, &cursor);
        }
        window.compare(member, ends, out);
        window.fetch_all(member, out);
        window
    }

    fn empty(member: &Member, partition: Partition, version: Option<CellVersion>) -> Self {
        #[cfg(not(feature = "sabotage"))]
        let _: &Member = member;
        Self {
            partition,
            slots: Slots::default(),
            keys: Keys::default(),
            tracks: vec![],
            streams: Stream::all(),
            stores: Stores::new(version),
            stage: Stage::Claiming,
            releasing: false,
            adopted: false,
            reserved: 0,
            topics: 0,
            idle: 0,
            moves: HashMap::new(),
            cold: vec![],
            fetches: HashMap::new(),
            #[cfg(feature = "sabotage")]
            sabotage: member.config.sabotage,
        }
    }

    fn load(&mut self, member: &mut Member, now: Timestamp, cursor: &Cursor) {
        for mark in &cursor.marks {
            self.tracks.push(Track::at(&mark.position));
            let track = self.tracks.len() - 1;
            for one in &mark.unsettled {
                self.load_one(member, now, track, one, cursor.released);
            }
        }
    }

    /// What may have been out with a holder that was lost is suspect.
    fn load_one(&mut self, member: &mut Member, now: Timestamp, track: usize, one: &Unsettled, released: bool) {
        let standing = match &one.state {
            State::Open { due: Some(due) } if *due > now => Standing::Waiting(*due),
            State::Open { .. } => Standing::Idle,
            State::Out(who) => Standing::Elsewhere(who.clone()),
            State::Moving { due, lost } => Standing::Moving { due: *due, lost: *lost, publish: None },
            State::Dying { class, reason } => {
                Standing::Dying { class: class.clone(), reason: reason.clone(), publish: None }
            }
        };
        let open = matches!(one.state, State::Open { .. });
        let entry = Entry {
            track,
            offset: one.offset,
            time: one.time,
            record: None,
            key: None,
            failures: one.failures,
            suspicion: if open && !released { one.suspicion.after_holder() } else { one.suspicion },
            standing,
            after: 1,
            reserved: true,
            queued: false,
            ahead: false,
        };
        let (suspect, due) = (entry.suspicion, now.after(Self::wait_of_suspect(member, one.failures)));
        let moving = matches!(entry.standing, Standing::Moving { .. });
        let slot = self.insert(member, entry);
        if moving {
            self.moves.insert((track, one.offset), slot);
        }
        if open && matches!(suspect, Suspicion::Holder | Suspicion::Blamed) {
            self.wait(member, now, slot, due);
        } else if let State::Open { due: Some(due) } = one.state {
            self.wait(member, now, slot, due);
        }
    }

    /// Compares the marks with the logs' ends, read after the cursor.
    fn compare(&mut self, member: &mut Member, ends: &[Position], out: &mut Vec<Output>) {
        for end in ends {
            if self.tracks.iter().any(|track| track.counts(end)) {
                self.tracks.iter_mut().filter(|t| t.is_of_log(end) && !t.counts(end)).for_each(|t| t.life = Life::Past);
            }
            let Some(index) = self.tracks.iter().position(|t| t.life == Life::Live && t.is_of_log(end)) else {
                continue;
            };
            let track = &self.tracks[index];
            if !track.counts(end) {
                self.reset(index, &Position { offset: 0, ..end.clone() }, out);
            } else if end.offset < track.read.offset {
                self.go_back(member, index, end, out);
            }
        }
    }

    /// A log ends below its mark: what lay behind its end is lost, what
    /// comes there is new.
    fn go_back(&mut self, member: &mut Member, index: usize, end: &Position, out: &mut Vec<Output>) {
        let track = &mut self.tracks[index];
        let was = track.position(track.read);
        let point = Point { offset: end.offset, time: Timestamp::default() };
        (track.mark, track.handed, track.read) = (Some(point), Some(point), point);
        out.push(Output::Alarm(Alarm::LogReset { was, now: track.position(point) }));
        let lost = self.slots.which(|entry| entry.track == index && entry.offset > end.offset);
        self.lose(member, lost, out);
        self.tracks[index].handed = Some(point);
    }

    pub(super) fn advance_stage(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        if self.releasing {
            return;
        }
        if self.stage == Stage::Claiming && self.stores.is_claimed() && self.fetches.is_empty() {
            self.stage = Stage::Retries;
            self.publish_all(member, out);
            let retries: Vec<_> =
                (0..self.streams.len()).filter(|i| self.streams[*i].source == Source::Retry).collect();
            retries.into_iter().for_each(|index| self.open_stream(member, index, out));
        }
        let level = |stream: &Stream| stream.source != Source::Retry || (stream.reading.is_some() && stream.level);
        if self.stage == Stage::Retries && self.streams.iter().all(level) {
            self.stage = Stage::Open;
            self.recheck_all(member);
        }
    }
}
