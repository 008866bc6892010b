//! Events as CloudEvents 1.0 messages, both ways.
//!
//! On a broker an event is a message in binary mode: its attributes are
//! headers, its payload is the body, byte for byte. Reading is tolerant: it
//! also takes structured mode, complete Handbell envelopes, plain JSON and
//! bytes that are no JSON at all, since a shared topic has other producers.
//! Pure; it deliberately knows no broker, and none of the headers that
//! Handbell's delivery adds beside an event.
//!
//! | envelope | attribute |
//! |---|---|
//! | `event.id`, `event.type`, `event.source` | `id`, `type`, `source` |
//! | `event.timestamp` | `time`, as it is written |
//! | `event.version` | `eventversion` |
//! | `event.correlation_id`, `event.causation_id` | `correlationid`, `causationid` |
//! | `event.kind`, as far as it was given | `kind` |
//! | other members of `event` | the same name, such as `subject`, `traceparent`, `expirytime` |
//! | `routing.partition_key`, `routing.priority`, `routing.to` | `partitionkey`, `priority`, `to` |
//! | `routing.hops`, unless 0 | `hops` |
//! | `payload` | the body, `application/json` |
//!
//! The topic is where the message lies, so it is no attribute. A header is
//! text, so the names of members that are a number or a boolean stand in
//! [`SCALARS`], a header of our own: without it every member is text.

mod attributes;
mod body;
mod json;
mod names;
mod percent;
mod read;
mod write;

pub(crate) use names::is_reserved;
pub use names::{SCALARS, Style};
pub use read::from_message;
pub use write::to_headers;

use crate::{name::Topic, time::Timestamp};

/// The type of an event whose message names none.
pub const FALLBACK_TYPE: &str = "MessageEvent";

/// What a reader knows of a message without its headers and body. The
/// fallbacks stand in for what the message leaves out, or has unfit: an ID of
/// 300 characters, an instant that is none.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The topic that the message lies on; `None` for direct work, whose
    /// message says whom it is for.
    pub topic: Option<&'a Topic>,
    /// The ID of an event that has none. To be the same whenever the message
    /// is read again, it follows from where the message lies.
    pub id: &'a str,
    /// The source of an event that names none.
    pub source: &'a str,
    /// The instant of an event that has none: the broker's.
    pub at: Timestamp,
    /// The partition key of an event that has none: the broker's, where it
    /// has one that is text.
    pub partition_key: Option<&'a str>,
}

/// A message from which no event can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It lies on no topic, and its `to` is missing or no address.
    #[error("the message lies on no topic and doesn't say whom it is for")]
    NoDestination,
}

#[cfg(test)]
mod tests;
