//! The admin API: what operators, probes and Prometheus ask of a running
//! Handbell, over HTTP.
//!
//! Owns the paths, the access rules and the shapes of the answers, as
//! `openapi.json` describes them. Deliberately knows no WebSocket and no one
//! broker: it reads a [`handbell_backend::Backend`] and a
//! [`handbell_delivery::Member`], and asks [`SidecarHandle`]s to drain.

mod access;
mod agents;
mod app;
mod drain;
mod events;
mod front;
mod groups;
mod guard;
mod health;
mod metrics;
mod overview;
mod page;
mod params;
mod problem;
mod scan;
mod topics;

pub use access::{Access, Role};
pub use app::{Options, SidecarHandle, router, sidecar_router};
