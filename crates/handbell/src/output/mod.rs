//! What goes to standard output: tables for people, JSON, YAML, names.

mod fit;
pub(crate) mod human;
mod item;
mod progress;
mod screen;
mod table;

pub(crate) use item::Item;
pub(crate) use progress::waiting;
pub(crate) use screen::{Screen, Tone, note};
pub(crate) use table::{Column, terminal_width};
