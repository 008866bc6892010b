//! NATS JetStream behind the backend trait.
//!
//! Owns the connection, the layout on the broker (streams, subjects, headers)
//! and the verbs over it. Deliberately knows nothing of groups, sessions and
//! agents, and speaks JetStream's own API over a plain connection, so that
//! what it asks of a server and what the server has made of it can be
//! compared word by word.
//!
//! The layout, for somebody with the `nats` tool:
//!
//! | what | where |
//! |---|---|
//! | a class and lane | stream `hb-NAMESPACE-CLASS-LANE` |
//! | a record | subject `NAMESPACE.CLASS.LANE.PARTITION.TOPIC`, a CloudEvent in binary mode |
//! | a record of a shared topic | subject `TOPIC`, in the stream that has it, or in `hb-shared-TOPIC` with `=` for `.` |
//! | a cell | key-value bucket `hb-NAMESPACE-cell`, key with `.` between the segments |
//! | a queue | one durable pull consumer for each lane |
//! | what is known of a record that was given back | stream `hb-NAMESPACE-queue` |

mod ack;
mod api;
mod backend;
mod cells;
mod clock;
mod connect;
mod core;
mod ensure;
mod error;
mod filters;
mod get;
mod headers;
mod layout;
mod lookups;
mod message;
mod options;
mod publish;
mod pull;
mod queue;
mod revive;
mod shared;
mod starts;
mod stream;
mod tail;

pub use backend::{Looked, NatsBackend, look, open};
pub use error::OpenError;
pub use options::{Credentials, Options, Retention, Tls};
