//! The files that a configuration names: there, readable, and well formed.

use std::{fs, io, path::Path};

use handbell_sidecar::{BadTokens, Tokens};

use super::{
    node::{Node, Step, steps},
    problem::Problem,
    section::Config,
};

/// What is wrong with the files that are named.
pub(super) fn check_files(config: &Config, tree: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(path) = &config.agents.tokens_file {
        problems.extend(Tokens::read(path).err().map(|bad| agents_tokens(tree, bad)));
    }
    if let Some(path) = &config.admin.tokens_file {
        problems.extend(admin_tokens(tree, path));
    }
    for (key, path) in config.backend.nats.files() {
        problems.extend(fs::File::open(path).err().map(|error| unreadable(tree, key, path, &error)));
    }
    for (topic, declared) in &config.topics {
        if let Some(path) = &declared.schema {
            let key = ["topics", topic.as_str(), "schema"].map(|key| Step::Key(key.into()));
            problems.extend(schema(tree, &key, path));
        }
    }
    problems
}

/// What is said of a line never repeats it: tokens are secret.
fn agents_tokens(tree: &Node, bad: BadTokens) -> Problem {
    match bad {
        BadTokens::Unreadable { path, source } => unreadable(tree, "agents.tokens_file", &path, &source),
        BadTokens::Line { path, line, why } => {
            Problem::file(&path.display().to_string(), Some(line), why, "write AGENT TOKEN, like /reviewer c03b…")
        }
    }
}

fn admin_tokens(tree: &Node, path: &Path) -> Option<Problem> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Some(unreadable(tree, "admin.tokens_file", path, &error)),
    };
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let (line, _) = lines.find(|(_, line)| !(line.is_empty() || line.starts_with('#') || is_admin_line(line)))?;
    let what = "the line has not the form of this file";
    Some(Problem::file(&path.display().to_string(), Some(line), what, "write viewer TOKEN or operator TOKEN [NAME]"))
}

fn is_admin_line(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(words[..], ["viewer" | "operator", _] | ["viewer" | "operator", _, _])
}

fn unreadable(tree: &Node, key: &str, path: &Path, error: &io::Error) -> Problem {
    let what = format!("{} can't be read: {error}", path.display());
    Problem::on(tree, &steps(key), what, "name a file that this user can read")
}

fn schema(tree: &Node, key: &[Step], path: &Path) -> Option<Problem> {
    let what = match fs::read(path) {
        Err(error) => format!("{} can't be read: {error}", path.display()),
        Ok(bytes) => match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Err(error) => format!("{} is no JSON: {error}", path.display()),
            Ok(schema) => match jsonschema::validator_for(&schema) {
                Err(error) => format!("{} is no JSON Schema: {error}", path.display()),
                Ok(_) => return None,
            },
        },
    };
    Some(Problem::on(tree, key, what, "name a file with a JSON Schema"))
}
