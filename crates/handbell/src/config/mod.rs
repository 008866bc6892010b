//! Configuration: one file < environment < flags, typed, checked before
//! anything starts. Errors name the file, the line and the key, and how to
//! mend it. Knows nothing of what the values are used for.

mod check;
mod check_nats;
mod declared;
#[cfg(test)]
mod documents;
mod files;
mod load;
mod node;
mod print;
mod problem;
mod property;
mod read;
mod schema;
pub(crate) mod section;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use load::{Loaded, Sources, load, read_file};
pub(crate) use print::{effective, effective_with_origins};
pub(crate) use problem::{Problem, did_you_mean};
pub use property::holds;
pub(crate) use schema::{json_schema, key_table};
pub(crate) use section::{Config, Listen, LogFormat};
