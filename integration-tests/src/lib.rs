//! The harness of the tests that cross process borders: real `handbell`
//! processes, and agents that speak the protocol with a WebSocket library and
//! nothing else.
//!
//! Knows Handbell only from outside: its command line, its ready line and its
//! frames. It links none of its crates but what starts a broker.

mod agent;
mod checker;
mod http;
pub mod load;
mod publisher;
mod raw;
mod server;
mod worker;

pub use agent::{Agent, Socket, delivery_of, type_of};
pub use checker::Checker;
pub use http::{get, post};
pub use publisher::Publisher;
pub use raw::{Raw, client_frame};
pub use server::{Server, handbell};
pub use worker::{Shared, Worker, lock};

use std::time::Duration;

/// How long anything may take before a test gives up: bounds hanging, says
/// nothing about speed.
pub const PATIENCE: Duration = Duration::from_secs(60);
