//! What the partitions of a member share: its consumers, what is out, what
//! may be handed out, times and counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use handbell_backend::{Outgoing, Partition};
use handbell_protocol::{Lane, Priority, Timestamp};

use crate::{
    Config, ConsumerId, Counters, MemberId, Output, Request, Suspicion, Token,
    consumers::Consumers,
    deliveries::Deliveries,
    entry::{Handle, Slot},
    ready::Ready,
    timers::Timers,
};

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) consumers: Consumers,
    pub(crate) deliveries: Deliveries,
    pub(crate) ready: Ready,
    pub(crate) timers: Timers<Timer>,
    pub(crate) publishes: HashMap<Request, Publish>,
    pub(crate) ahead: Ahead,
    /// The one suspect of a lost holder that is counted or out.
    pub(crate) suspect: Option<Handle>,
    pub(crate) members: BTreeSet<MemberId>,
    pub(crate) owners: BTreeMap<Partition, MemberId>,
    pub(crate) draining: bool,
    /// How much each partition may read ahead when others have filled the rest.
    pub(crate) share: usize,
    numbers: u64,
    tokens: u64,
    random: u64,
}

/// What can be due. Each is checked when it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A waiting record comes again.
    Due(Handle),
    /// A failed publish is tried again.
    Publish(Request),
    /// A partition has something to look after.
    Seat(Partition),
}

/// A publish under way.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) handle: Handle,
    pub(crate) outgoing: Box<Outgoing>,
    pub(crate) failures: u32,
}

/// What has been read and not yet handed out a first time.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// Of these, those that a store under way reserves and that will be ready
    /// then, by priority.
    pub(crate) reserving: [usize; 4],
    /// Bytes of records that wait in retry channels.
    pub(crate) waiting: usize,
}

impl Member {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            tokens: config.first_token,
            random: config.seed,
            config,
            counters: Counters::default(),
            consumers: Consumers::default(),
            deliveries: Deliveries::default(),
            ready: Ready::default(),
            timers: Timers::default(),
            publishes: HashMap::new(),
            ahead: Ahead::default(),
            suspect: None,
            members: BTreeSet::new(),
            owners: BTreeMap::new(),
            draining: false,
            share: 1,
            numbers: 0,
        }
    }

    pub(crate) fn me(&self) -> &MemberId {
        &self.config.member
    }

    /// A number that was never used.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn request(&mut self) -> Request {
        Request(self.number())
    }

    pub(crate) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens - 1)
    }

    /// In 0..1; the mixer is SplitMix64.
    pub(crate) fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether a member is there.
    pub(crate) fn is_there(&self, member: &MemberId) -> bool {
        self.members.contains(member)
    }

    pub(crate) fn view(&mut self, members: BTreeSet<MemberId>, owners: BTreeMap<Partition, MemberId>) {
        let mine = owners.values().filter(|owner| *owner == self.me()).count();
        self.share = (self.config.read_ahead_events / mine.max(1)).max(1);
        (self.members, self.owners) = (members, owners);
    }

    /// Whether this member should hold a partition.
    pub(crate) fn wants(&self, partition: Partition) -> bool {
        !self.draining && self.owners.get(&partition) == Some(self.me())
    }

    pub(crate) fn look_at(&mut self, partition: Partition, at: Timestamp) {
        self.timers.set(at, Timer::Seat(partition));
    }

    /// How many more of that priority should be ready: what consumers could
    /// have out at most, once over, less what is ready or will be. The express
    /// lane is reserved further ahead, so that it isn't overtaken.
    pub(crate) fn demand(&self, priority: Priority) -> usize {
        let reserving: usize = self.ahead.reserving[priority as usize..].iter().sum();
        self.wanted(priority).saturating_sub(self.ready.from(priority) + reserving)
    }

    /// The same, if it is worth a store of its own.
    pub(crate) fn hunger(&self, priority: Priority) -> bool {
        self.demand(priority) * 2 > self.wanted(priority)
    }

    fn wanted(&self, priority: Priority) -> usize {
        let ceiling = self.consumers.ceiling();
        if priority.lane() == Lane::Express && ceiling > 0 { ceiling * 2 + 16 } else { ceiling }
    }

    /// It is no longer the suspect that is out alone.
    pub(crate) fn clear_suspect(&mut self, partition: Partition, slot: Slot) {
        if self.suspect == Some(Handle { partition, slot }) {
            self.suspect = None;
        }
    }

    /// A delivery ends: its credit is free.
    pub(crate) fn end_delivery(&mut self, token: Token) -> Option<crate::deliveries::Delivery> {
        let delivery = self.deliveries.take(token)?;
        self.consumers.hand_back(delivery.consumer, delivery.suspicion != Suspicion::None);
        Some(delivery)
    }

    /// A verdict has no effect.
    pub(crate) fn gone(&mut self, consumer: ConsumerId, token: Token, out: &mut Vec<Output>) {
        self.counters.gone += 1;
        out.push(Output::Gone { consumer, token });
    }

    #[cfg(feature = "sabotage")]
    pub(crate) fn sabotaged(&self, planted: crate::Sabotage) -> bool {
        self.config.sabotage == Some(planted)
    }
}
