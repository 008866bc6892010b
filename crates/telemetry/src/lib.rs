//! Logs: where they go and in which form.
//!
//! Owns the process's subscriber. Deliberately knows no configuration file
//! and no flag; the caller says what is logged. Logs go to standard error, so
//! that standard output belongs to a command's answer.

mod logs;

pub use logs::{Format, InitError, init, read_directives};
