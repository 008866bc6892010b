//! What travels: the envelope, its IDs, topics and filters, the WebSocket
//! frames, the CloudEvents mapping and the trace context.
//!
//! Pure: it reads and writes text and decides whether it is well formed. It
//! deliberately knows no socket, no broker, no clock (time is an argument) and
//! no async runtime. Everything is parsed once, here; beyond this crate there
//! are only typed envelopes and frames.

pub mod catalogue;
pub mod cloudevents;
mod code;
pub mod digest;
pub mod event;
pub mod filter;
pub mod frame;
mod json;
mod name;
mod pattern;
pub mod schema;
pub mod time;
pub mod trace;

pub use catalogue::Catalogue;
pub use code::{Code, Refusal};
pub use event::{Envelope, Kind, Lane, Priority, Producer, Target};
pub use filter::{BadFilter, Filter, Verdict};
pub use json::{Json, MAX_DEPTH};
pub use name::{AgentName, BadName, Namespace, Segment, Topic, is_segment};
pub use pattern::TopicPattern;
pub use time::Timestamp;
