//! The embedded log from outside: through the backend's trait.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asleep;
mod cells;
mod common;
mod crash;
mod full;
mod model;
mod opening;
mod publish;
mod queue;
mod retention;
mod tail;
