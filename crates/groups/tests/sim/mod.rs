//! A simulated world around [`handbell_groups::Group`]: a broker, members that
//! come, go, pause and crash, consumers of all kinds, a virtual clock, and a
//! checker that looks at every output. Everything follows from one seed.

#![allow(dead_code, reason = "two test binaries use different parts")]

pub(crate) mod agents;
pub(crate) mod check;
pub(crate) mod event;
pub(crate) mod log;
pub(crate) mod outputs;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod scene;
pub(crate) mod world;

pub(crate) use event::{Act, Spec};
pub(crate) use world::{Settings, World};

use handbell_protocol::Timestamp;

/// Virtual milliseconds since the world's beginning, as groups see them.
pub(crate) fn time(now: u64) -> Timestamp {
    Timestamp::from_millis(now as i64)
}
