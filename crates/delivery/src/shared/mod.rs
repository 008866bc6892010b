//! Topics that outside clients share: each lies under its own name only, and
//! one member forwards all of it into the partitioned channel, where groups
//! and fan-outs read it like any other.
//!
//! Written once over all backends: they only store class Shared. Who forwards
//! the members choose; a cell fences whoever went before. What is forwarded has
//! its place in the shared topic as its dedup key, and a member that takes over
//! looks first how far the one before has got, so that no window has to be kept.

mod forwarder;
mod place;
mod records;

pub(crate) use forwarder::spawn;
pub(crate) use records::redirected;
