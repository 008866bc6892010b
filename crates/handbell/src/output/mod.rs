//! What goes to standard output: tables for people, JSON, YAML, names.

mod fit;
pub(crate) mod human;
mod screen;
mod table;

pub(crate) use screen::{Screen, note};
pub(crate) use table::{Column, terminal_width};
