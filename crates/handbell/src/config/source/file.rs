//! The configuration file: YAML or TOML by the end of its name.

use std::{fs, io, path::Path, sync::Arc};

use super::{toml, yaml};
use crate::config::{node::Node, problem::Problem};

/// Reads a file.
pub(crate) fn from_file(path: &Path) -> Result<Node, Problem> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| unreadable(&name, &error))?;
    from_text(&name, &text)
}

/// Reads the text of a file of that name.
pub(crate) fn from_text(name: &str, text: &str) -> Result<Node, Problem> {
    let file: Arc<str> = name.into();
    match Path::new(name).extension().and_then(|ext| ext.to_str()) {
        Some("yaml" | "yml" | "json") => yaml::read(&file, text),
        Some("toml") => toml::read(&file, text),
        _ => Err(Problem::file(
            name,
            None,
            "the file is neither YAML nor TOML by its name",
            "let its name end in .yaml, .yml, .json or .toml",
        )),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Problem {
    let how = match error.kind() {
        io::ErrorKind::NotFound => "name a file that exists with --config, or leave the flag out",
        io::ErrorKind::PermissionDenied => "let this user read it",
        io::ErrorKind::InvalidData => "write it in UTF-8",
        _ => "name a file that can be read with --config",
    };
    Problem::file(name, None, format!("the configuration file can't be read: {error}"), how)
}
