//! Planted bugs: backends that lie, each in one way. They prove that the
//! suite catches what it is there for; nothing else uses them.

mod backend;
mod provider;
mod queue;
mod receipts;
mod tail;

pub use crate::fixture::lose_patience;
pub use provider::Sabotaged;

/// How long a call dawdles over what it has taken: dropped meanwhile, it loses it.
const DAWDLE: std::time::Duration = std::time::Duration::from_millis(20);

/// One way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// None: what surrounds the lies is honest.
    Honest,
    /// Acknowledges an event first and writes it later.
    ReceiptBeforeWrite,
    /// Stores a batch in another order.
    OrderIgnored,
    /// Lends and hands out at once what should wait.
    DelayIgnored,
    /// Forgets what was given back.
    RedeliveryLost,
    /// Stores a retry under the original's ID, so that it counts as a repeat.
    RetryUnderOldId,
    /// Stores a cell whatever its version.
    FenceIgnored,
    /// Says that a tail is level before anything was read.
    LevelEarly,
    /// Stores duplicates.
    DedupIgnored,
    /// Jumps over what retention has removed.
    TrimmedSilently,
    /// One member passes over events by a filter of its own.
    FilterOfAMember,
    /// Counts every lending as the first.
    AttemptForgotten,
    /// Says that a lease is extended and does nothing.
    ExtendIgnored,
    /// Says that every settlement had an effect.
    LateSettlementCounts,
    /// Writes payloads anew.
    PayloadRewritten,
    /// Loses what a dropped call had read.
    CancelLoses,
    /// Lends the regular lane first.
    LanesIgnored,
}
