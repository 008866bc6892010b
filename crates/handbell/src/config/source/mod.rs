//! Where configuration comes from: a YAML or TOML file, the environment, `--set`.
//! Each becomes a tree of [`super::node::Node`] and knows nothing of the keys.

mod env;
mod file;
mod set;
mod toml;
mod yaml;

pub(crate) use env::{from_env, loose};
pub(crate) use file::{from_file, from_text};
pub(crate) use set::from_set;
