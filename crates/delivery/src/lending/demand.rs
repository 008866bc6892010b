//! How much a source's puller may take.

use std::time::{Duration, Instant};

use super::desk::{Desk, Kind, Seat, Source, SourceId};
use crate::Mailbox;

/// No pull takes more: keeps what is in one process's hands small enough to share.
const MOST: u32 = 256;

/// A source with so many settlements under way takes nothing new until the
/// backend keeps up.
const MOST_SETTLING: usize = 4_096;

/// How long a suspect has to bring its process down before the next record is
/// taken; how long between looks while one is out.
pub(super) const SUSPECT_QUIET: Duration = Duration::from_secs(1);

/// What a puller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Pull at most so many.
    Pull(usize),
    /// Nothing until woken, or until then.
    Wait(Option<Instant>),
    /// The source is closed.
    Closed,
}

impl Desk {
    /// What a source's consumers can take now.
    pub(crate) fn demand(&self, id: SourceId, now: Instant) -> Demand {
        let Some(source) = self.sources.get(&id).filter(|source| !source.seats.is_empty()) else {
            return Demand::Closed;
        };
        let free = self.free(source);
        let draining = self.draining && source.rules.kind == Kind::Work;
        if free == 0 || draining || source.settling.len() + source.in_flight >= MOST_SETTLING {
            return Demand::Wait(None);
        }
        match source.paused_until.filter(|until| *until > now) {
            Some(until) => Demand::Wait(Some(until)),
            None if source.careful => Demand::Pull(1),
            None => Demand::Pull(free as usize),
        }
    }

    fn free(&self, source: &Source) -> u32 {
        let seats = source.seats.iter().filter_map(|seat| self.seats.get(seat));
        seats.map(|seat| seat.free(&source.rules.kind)).fold(0, |sum: u32, free| sum.saturating_add(free)).min(MOST)
    }
}

impl Seat {
    /// How many more it can take of that kind.
    pub(super) fn free(&self, kind: &Kind) -> u32 {
        if self.lost.is_some() {
            return 0;
        }
        match kind {
            Kind::Work => self.ceiling.min(Mailbox::MAX_OUTSTANDING).saturating_sub(self.work),
            Kind::Replies(_) => Mailbox::MAX_OUTSTANDING.saturating_sub(self.replies),
        }
    }

    pub(super) fn used(&mut self, kind: &Kind) -> &mut u32 {
        match kind {
            Kind::Work => &mut self.work,
            Kind::Replies(_) => &mut self.replies,
        }
    }
}
