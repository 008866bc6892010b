//! Who takes part in the namespace now: heartbeats in, leases out.
//!
//! Owns the view (pure) and the task that publishes this member's heartbeat
//! and reads those of others. Deliberately knows no group's contents: it only
//! says which member a partition of a group belongs to.

mod beat;
mod listen;
mod shell;
mod speak;
mod view;

pub(crate) use beat::Handover;
pub use beat::{Agents, Presence, Signal};
pub use handbell_groups::MemberId;
pub(crate) use shell::Members;
pub use view::{MemberInfo, View};
