//! What tests of several crates stand on: real brokers, started, killed and
//! started again, a proxy on the way to them that does what networks do, and
//! the chance and the seeds that simulations run on.
//!
//! Deliberately knows nothing of what is tested, and imitates no broker.

mod nats;
mod proxy;
mod random;
pub mod seeds;

pub use nats::{NatsServer, ServerError, nats_url};
pub use proxy::{Fault, Proxy, Way};
pub use random::Random;
