//! Ordered consumer groups, once for all brokers: which record is handed to
//! whom, which attempt it is, what a key waits for, what is stored before what.
//!
//! Owns one member's part in one group: windows, keys, leases, attempts, the
//! cursor and its encoding, claims and handovers between members. Pure: state
//! and input give outputs. Deliberately knows no clock (time is an argument),
//! no randomness (a seed is), no IO, no async runtime and no one broker; of
//! sessions it knows only consumers with a credit.
//!
//! [`Group`] is the entry point; [`Input`] and [`Output`] are the whole
//! interface. The promises stand at [`Group`].

mod away;
mod config;
mod consumers;
mod counters;
mod cursor;
mod deliveries;
mod dispatch;
mod entry;
mod group;
mod input;
mod keys;
mod member;
mod numbers;
mod outgoing;
mod output;
mod policy;
mod ready;
mod seat;
mod take;
mod timers;
mod verdict;
mod window;
mod word;

#[cfg(feature = "sabotage")]
#[doc(hidden)]
pub use config::Sabotage;
pub use config::{Config, Filter, MemberId, SHORT_DELAY, UNSETTLED_MAX};
pub use counters::Counters;
pub use cursor::{BadCursor, Cursor, Mark, State, Suspicion, Unsettled};
pub use group::Group;
pub use input::{Input, StoreResult};
pub use output::{Alarm, Begin, Output, Reading, Request, Source};
pub use verdict::{ConsumerId, Leave, Token, Verdict};
pub use word::Word;
