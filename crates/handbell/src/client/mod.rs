//! A well-behaved agent: one WebSocket, kept up. It numbers what it publishes,
//! resumes when the connection is lost, comes again when it is told `busy`,
//! and knows each delivery once.
//!
//! Deliberately knows no command; it speaks the protocol and nothing else.

mod address;
mod frames;
mod greet;
mod recover;
mod session;
mod socket;

pub(crate) use frames::{Delivery, ErrorFrame, Frame, Rejected, Reply, Work};
pub(crate) use greet::{Hello, connect, reach, refusal};
pub(crate) use session::Session;
pub(crate) use socket::Socket;
