//! What the cursor says of a window.

use super::{
    Point, Window,
    track::{Life, Track},
};
use crate::{
    Cursor, Mark, MemberId, State, Unsettled,
    entry::{Entry, Standing},
};

impl Window {
    /// What the cursor says now. A released one says only what surely was
    /// handed out or settled; the rest is read again.
    pub(super) fn snapshot(&self, me: &MemberId, number: u64, released: bool) -> Cursor {
        let mut marks: Vec<_> = (0..self.tracks.len()).map(|index| self.to_mark(index, released)).collect();
        for (_, entry) in self.slots.iter() {
            if let Some(mark) = &mut marks[entry.track]
                && entry.offset <= mark.position.offset
                && let Some(state) = entry.state(me, released)
                && !self.is_hidden(&state)
            {
                mark.unsettled.push(Unsettled {
                    offset: entry.offset,
                    time: entry.time,
                    failures: entry.failures,
                    suspicion: entry.suspicion,
                    state,
                });
            }
        }
        let past = |(track, mark): (&Track, Option<Mark>)| {
            mark.filter(|mark| track.life == Life::Live || !mark.unsettled.is_empty())
        };
        let marks = self.tracks.iter().zip(marks).filter_map(past).collect();
        Cursor { holder: me.clone(), released, number, marks }
    }

    fn to_mark(&self, index: usize, released: bool) -> Option<Mark> {
        let track = &self.tracks[index];
        let point = if released { self.released_mark(index) } else { track.mark }?;
        (track.life != Life::Ghost).then(|| Mark { position: track.position(point), unsettled: vec![] })
    }

    /// What lies above the last that was handed out is read again, if
    /// anything of it waits.
    fn released_mark(&self, index: usize) -> Option<Point> {
        let Track { read, handed, .. } = self.tracks[index];
        let last = handed.map_or(0, |handed| handed.offset);
        let waits = self.slots.iter().any(|(_, entry)| entry.track == index && entry.offset > last);
        if !waits && read.offset > last { Some(read) } else { handed }
    }

    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_self, reason = "does something in test builds only")]
    fn is_hidden(&self, _state: &State) -> bool {
        false
    }

    #[cfg(feature = "sabotage")]
    fn is_hidden(&self, state: &State) -> bool {
        self.sabotage == Some(crate::Sabotage::RetryAfterSettle) && matches!(state, State::Moving { .. })
    }
}

impl Entry {
    /// As the cursor says it; `None` where the retry channel has it.
    fn state(&self, me: &MemberId, released: bool) -> Option<State> {
        Some(match &self.standing {
            Standing::Idle => State::Open { due: None },
            Standing::Waiting(due) => State::Open { due: Some(*due) },
            Standing::Out(_) if released => State::Out(me.clone()),
            Standing::Out(_) => State::Open { due: None },
            Standing::Elsewhere(member) => State::Out(member.clone()),
            Standing::Moving { due, lost, .. } => State::Moving { due: *due, lost: *lost },
            Standing::Moved => return None,
            Standing::Dying { class, reason, .. } => State::Dying { class: class.clone(), reason: reason.clone() },
        })
    }
}
