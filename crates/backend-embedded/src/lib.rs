//! The embedded log: a durable backend in one process, on SQLite.
//!
//! It owns a directory with one database (or a database in memory), a thread
//! that writes to it in group commits, a few connections that read from it, and
//! a ring of the newest records from which readers that are level are served.
//! It deliberately knows nothing of groups, sessions or agents, and shares its
//! directory with no other process.
//!
//! The way of a record: `backend` encodes it, `writer` stores it with all that
//! waits and commits, `stream` keeps it for the readers and wakes those whom it
//! concerns, and only then its receipt is told.

mod backend;
mod cells;
mod codec;
mod dedup;
mod engine;
mod error;
mod fetch;
mod keeper;
mod lock;
mod open;
mod options;
mod queue;
mod readers;
mod reading;
mod scan;
mod schema;
mod starts;
mod stream;
mod tail;
mod topics;
mod writer;

pub use backend::EmbeddedBackend;
pub use error::OpenError;
pub use open::EmbeddedLog;
pub use options::{Clock, DEFAULT_MAX_EVENT, Options, Place, Retention};
