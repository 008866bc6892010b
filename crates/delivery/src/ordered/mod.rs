//! Ordered groups at work: the runner of `handbell-groups`.
//!
//! Owns the tasks that do what the group's machine asks for (load and store
//! cursors, read tails, publish, fetch, tell other members) and that tell it
//! what has happened (time, views, consumers). All decisions are the
//! machine's; it is talked to through its inputs and outputs only, under one
//! short lock, so that a verdict takes effect in the call that brings it.

mod cells;
mod conductor;
mod end;
mod level;
mod perform;
mod publisher;
mod reader;
mod runner;
mod store;
mod translate;

pub(crate) use cells::cursors;
pub(crate) use runner::{Around, Runner};
