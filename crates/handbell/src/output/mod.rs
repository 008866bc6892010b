//! What goes to standard output: tables for people, JSON, YAML, names.

pub(crate) mod human;
mod screen;
mod table;

pub(crate) use screen::Screen;
pub(crate) use table::Column;
