//! What the suite of all backends can't ask of NATS: servers that go away and
//! come back, settings that aren't kept, credentials, clusters, outside clients.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

mod cluster;
mod common;
mod faults;
mod identity;
mod opening;
mod outage;
mod outside;
mod retention;
