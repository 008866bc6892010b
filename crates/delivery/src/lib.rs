//! The async edge between a backend and its consumers: a backend's verbs
//! become deliveries with attempts, leases and settlements.
//!
//! Owns the process's part in `members`, the runner of ordered groups (the
//! decisions are in `groups`), the runners of queues (unordered groups, direct
//! work) and of fan-outs. Deliberately knows no WebSocket, no session and no
//! one broker; the sidecar and the conformance suite use it alike.

mod backoff;
mod call;
mod clock;
mod consumer;
mod consumer_end;
mod counts;
mod dead_letter;
mod direct;
mod fanout;
mod group_info;
mod identity;
pub mod inbox;
mod lease;
mod lending;
mod mailbox;
mod member;
mod members;
mod options;
mod ordered;
mod post;
mod publishing;
mod queue_group;
mod settings;
mod shared;
mod sieve;
mod starts;
mod tailing;
#[cfg(test)]
mod testing;

pub use call::{Answer, Call};
pub use consumer::{
    ConsumerEvent, ConsumerKey, DeadLetter, Delivered, GroupSettings, JoinError, Leave, Token, Verdict,
};
pub use consumer_end::Consumer;
pub use counts::Counts;
pub use group_info::GroupInfo;
pub use mailbox::Mailbox;
pub use member::Member;
pub use members::{Agents, MemberId, MemberInfo, Presence, Signal, View};
pub use options::{DirectSpec, FanoutSpec, MemberOptions};
