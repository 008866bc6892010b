//! Fan-outs: a consumer of its own over two tails, without a group.
//!
//! Owns the window (what is read ahead, one unsettled delivery per key where
//! order is asked for), retries within the process, and leases; all decided in
//! the core (pure). Nothing of it outlives the consumer: what is given up is
//! counted and dropped. Deliberately knows no cursors and no other consumers.

mod core;
mod settling;
mod shell;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use shell::{Surroundings, open};
