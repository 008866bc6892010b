//! What a window knows of its stores: which is under way, which is durable,
//! what waits for which.

use std::{collections::VecDeque, time::Duration};

use handbell_backend::CellVersion;
use handbell_protocol::Timestamp;

use crate::{ConsumerId, MemberId, Output, Request, Token, Word, entry::Slot, member::Member};

/// How long what was passed over may be missing in the cursor.
const LAZY: Duration = Duration::from_secs(5);
/// How many stores in doubt are remembered.
const DOUBTS_MAX: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Stores {
    pub(super) version: Option<CellVersion>,
    /// The number of the next store; 1 is the claim.
    pub(super) next: u64,
    /// The last that is known to be durable.
    pub(super) durable: u64,
    /// Nothing is handed out before this one is durable.
    pub(super) proof: u64,
    pub(super) flight: Option<Flight>,
    pub(super) gathering: Batch,
    pub(super) dirty: bool,
    /// Something that waits in the retry channel is due.
    pub(super) wish: bool,
    /// Since when the cursor lacks what was passed over.
    pub(super) passed: Option<Timestamp>,
    /// The load that tells how a store in doubt ended.
    pub(super) checking: Option<Request>,
    /// Cursors whose store was in doubt since the last that was answered.
    pub(super) doubts: VecDeque<u64>,
    /// After a store in doubt: no other before that.
    pub(super) resume: Timestamp,
}

/// What waits for one store.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) told: Vec<(ConsumerId, Token)>,
    pub(super) acked: u64,
    pub(super) replies: Vec<(MemberId, Word)>,
    pub(super) slots: Vec<Slot>,
    pub(super) reserving: [usize; 4],
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) request: Request,
    /// The store's number here, and in the cursor.
    pub(super) number: u64,
    pub(super) cursor: u64,
    pub(super) batch: Batch,
}

// === impl Stores ===

impl Stores {
    pub(super) fn new(version: Option<CellVersion>) -> Self {
        Self {
            version,
            next: 1,
            durable: 0,
            proof: 1,
            flight: None,
            gathering: Batch::default(),
            dirty: true,
            wish: false,
            passed: None,
            checking: None,
            doubts: VecDeque::new(),
            resume: Timestamp::default(),
        }
    }

    /// A store in doubt is remembered until one is answered.
    pub(super) fn remember(&mut self, cursor: u64) {
        self.doubts.push_back(cursor);
        if self.doubts.len() > DOUBTS_MAX {
            self.doubts.pop_front();
        }
    }

    /// Whether what waits for that store may be handed out.
    pub(super) fn covers(&self, after: u64) -> bool {
        after <= self.durable && self.proof <= self.durable
    }

    pub(super) fn is_claimed(&self) -> bool {
        self.durable > 0
    }

    pub(super) fn dirty(&mut self) {
        self.dirty = true;
    }

    pub(super) fn wish(&mut self) {
        self.wish = true;
    }

    pub(super) fn doubt(&mut self) {
        self.proof = self.next;
        self.dirty = true;
    }

    /// Notes that something was passed over; tells whether it is the first.
    pub(super) fn pass(&mut self, now: Timestamp) -> bool {
        let first = self.passed.is_none();
        self.passed.get_or_insert(now);
        first
    }

    pub(super) fn lazy_at(&self) -> Timestamp {
        self.passed.unwrap_or_default().after(LAZY)
    }

    /// The store that will hold what happens now.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// A verdict is told when the next store is durable.
    pub(super) fn tell(&mut self, consumer: ConsumerId, token: Token, ack: bool) {
        self.gathering.told.push((consumer, token));
        self.gathering.acked += u64::from(ack);
        self.dirty = true;
    }

    /// Another member is answered then.
    pub(super) fn reply(&mut self, to: MemberId, word: Word) {
        self.gathering.replies.push((to, word));
        self.dirty = true;
    }

    /// An entry is looked at again then.
    pub(super) fn wake(&mut self, slot: Slot) {
        self.gathering.slots.push(slot);
        self.dirty = true;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some() || self.checking.is_some()
    }

    /// How long to wait after a store in doubt: longer each time.
    pub(super) fn backoff(&self) -> Duration {
        Duration::from_millis(10) * (1 << self.doubts.len().min(7))
    }

    /// Everything that waits for a store, when there will be none here.
    pub(super) fn give_up(&mut self, member: &mut Member) -> Batch {
        let mut batch = std::mem::take(&mut self.gathering);
        if let Some(flight) = self.flight.take() {
            batch.told.splice(0..0, flight.batch.told);
            batch.add(flight.batch.reserving);
        }
        member.reserved(batch.reserving);
        batch
    }

    pub(super) fn doubts(&self) -> Vec<u64> {
        self.doubts.iter().copied().collect()
    }

    pub(super) fn version(&self) -> Option<CellVersion> {
        self.version
    }
}

impl Batch {
    /// It is durable.
    pub(crate) fn settled(self, member: &mut Member, out: &mut Vec<Output>) {
        member.counters.acked += self.acked;
        out.extend(self.told.into_iter().map(|(consumer, token)| Output::Settled { consumer, token }));
        out.extend(self.replies.into_iter().map(|(to, word)| Output::Tell { to, word }));
    }

    /// It never will be.
    pub(crate) fn gone(self, member: &mut Member, out: &mut Vec<Output>) {
        for (consumer, token) in self.told {
            member.gone(consumer, token, out);
        }
    }
}

impl Batch {
    pub(super) fn append(&mut self, mut later: Self) {
        self.told.append(&mut later.told);
        self.replies.append(&mut later.replies);
        self.slots.append(&mut later.slots);
        self.acked += later.acked;
        self.add(later.reserving);
    }

    fn add(&mut self, reserving: [usize; 4]) {
        self.reserving.iter_mut().zip(reserving).for_each(|(all, more)| *all += more);
    }
}

impl Member {
    /// What a store was to reserve is ready now, or given up.
    pub(super) fn reserved(&mut self, reserving: [usize; 4]) {
        self.ahead.reserving.iter_mut().zip(reserving).for_each(|(all, less)| *all -= less);
    }
}
