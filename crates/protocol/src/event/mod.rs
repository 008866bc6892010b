//! Events: the envelope, what an agent writes of it, and what the sidecar fills in.

mod draft;
mod envelope;
pub mod id;
mod kind;
mod members;
mod target;

pub use draft::{Cause, Completion, Destination, Draft};
pub use envelope::{Envelope, Event, EventTime, Routing, Scalar, bare_type, same_type};
pub use id::Producer;
pub use kind::{Kind, Lane, Priority};
pub use target::Target;
