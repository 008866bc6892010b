//! The socket shell around the pure session: it reads, writes, waits and
//! performs effects, and decides nothing about events.
//!
//! A connection begins in `handshake.rs`; `actor.rs` runs one task for each
//! session, which outlives its sockets; `wire.rs` is one socket.

mod actor;
mod clock;
mod directory;
#[cfg(feature = "echo")]
mod echo;
mod effects;
mod handshake;
mod liveness;
mod outbox;
mod registry;
mod server;
mod wire;

#[cfg(feature = "echo")]
pub use echo::echo;
pub(crate) use server::Shared;
pub use server::{Sidecar, StartError};
