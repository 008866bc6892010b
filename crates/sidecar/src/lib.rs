//! The sidecar: the WebSocket beside each agent.
//!
//! Owns sessions (identity, publishing, deliveries, requests, resume, drain)
//! and the port on which agents connect. `session` decides and is pure;
//! `shell` does what it decides. Deliberately knows no one broker, and neither
//! sagas nor any other machine of the coordinator.

mod auth;
mod http;
mod options;
pub mod policy;
pub mod session;
mod shell;

pub use auth::{BadTokens, Tokens};
pub use options::{Limits, Listen, SidecarOptions};
#[cfg(feature = "echo")]
pub use shell::echo;
pub use shell::{Sidecar, StartError};
