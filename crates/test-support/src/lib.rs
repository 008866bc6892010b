//! What tests of several crates stand on: real brokers, started, killed and
//! started again.
//!
//! Deliberately knows nothing of what is tested, and imitates no broker.

mod nats;

pub use nats::{NatsServer, ServerError, nats_url};
