//! A simulated world around [`handbell_sidecar::session::Session`]: agents
//! with their sockets, sidecars that crash and drain, a broker that fails, the
//! consumers behind it, and a checker that looks at every input and effect.
//! Everything follows from one seed.

pub(crate) mod book;
pub(crate) mod broker;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod end;
pub(crate) mod handler;
pub(crate) mod hub;
pub(crate) mod net;
pub(crate) mod plan;
pub(crate) mod shell;
pub(crate) mod world;

pub(crate) use world::{Happening, Settings, World};
