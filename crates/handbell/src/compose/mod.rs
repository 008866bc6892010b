//! From a checked configuration to running parts: the only place that knows
//! them all.

mod addresses;
mod admin;
mod backend;
mod payloads;
mod ready;
mod run;
mod sidecar;

pub(crate) use backend::look as look_at_broker;
pub(crate) use run::{dev, sidecar};
