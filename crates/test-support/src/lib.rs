//! What tests of several crates stand on: real brokers, started, killed and
//! started again, and a proxy on the way to them that does what networks do.
//!
//! Deliberately knows nothing of what is tested, and imitates no broker.

mod nats;
mod proxy;

pub use nats::{NatsServer, ServerError, nats_url};
pub use proxy::{Fault, Proxy, Way};
