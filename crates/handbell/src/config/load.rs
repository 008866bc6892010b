//! Laying the sources upon one another: default < file < environment < flags.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{
    check::check,
    node::{Node, Origin, Step, Value},
    problem::Problem,
    read::{read, read_at},
    section::Config,
    source::{from_env, from_file, from_set, loose},
};

/// So many problems are told at once.
const MOST: usize = 50;

/// Everything that a configuration is made of.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// All environment variables; those that begin with `HANDBELL__` count.
    pub(crate) env: Vec<(String, String)>,
    /// The arguments of `--set`, in their order.
    pub(crate) set: Vec<String>,
    /// Flags that stand for a key: the flag, the key, the value as text.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

/// A configuration that has passed every check, and where its values were written.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) tree: Node,
}

impl Loaded {
    /// Where the value of `key` (dotted) was written.
    #[cfg(test)]
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.tree.origin_of(&super::node::steps(key))
    }

    /// A problem that shows only when the value of `key` is used.
    pub(crate) fn problem(&self, key: &str, what: impl Into<String>, how: impl Into<String>) -> Problem {
        Problem::at(&self.tree, key, what, how)
    }
}

/// Reads, merges, types and checks.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, Vec<Problem>> {
    let tree = merged(sources).map_err(|problem| vec![problem])?;
    let (config, mut problems) = typed(&tree);
    let Some(config) = config else { return Err(problems) };
    problems.extend(check(&config, &tree));
    if problems.is_empty() { Ok(Loaded { config, tree }) } else { Err(problems) }
}

/// The configuration without what can't be read, and all that can't be: so
/// that somebody who mends a file sees everything at once.
fn typed(tree: &Node) -> (Option<Config>, Vec<Problem>) {
    let (mut rest, mut problems, mut gone) = (tree.clone(), Vec::new(), Vec::<Vec<Step>>::new());
    loop {
        let (problem, path) = match read_at(&rest) {
            Ok(config) => return (Some(config), problems),
            Err(fault) => fault,
        };
        // A key that is missing only since it was taken away is no news.
        if !gone.iter().any(|gone| gone.starts_with(&path)) {
            problems.push(problem);
        }
        if problems.len() == MOST || !rest.blank(&path) {
            return (None, problems);
        }
        gone.push(path);
    }
}

/// Reads another file of the user's, such as the contexts, with the same care.
pub(crate) fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T, Problem> {
    read(&from_file(path)?)
}

fn merged(sources: &Sources) -> Result<Node, Problem> {
    let mut tree = defaults();
    if let Some(path) = &sources.file {
        tree = tree.merge(versioned(path)?);
    }
    tree = tree.merge(from_env(sources.env.iter().cloned()));
    for argument in &sources.set {
        tree = tree.merge(from_set(argument)?);
    }
    for (flag, key, text) in &sources.flags {
        let path: Vec<String> = key.split('.').map(Into::into).collect();
        tree = tree.merge(Node::nested(&path, loose(text.clone(), Origin::Flag(flag))));
    }
    Ok(tree)
}

/// One source alone, upon the defaults.
pub(super) fn laid_upon_defaults(source: Node) -> Node {
    defaults().merge(source)
}

fn defaults() -> Node {
    serde_json::to_value(Config::default()).expect("the configuration's keys are text").into()
}

/// A file says on top in which version of the form it is written.
fn versioned(path: &Path) -> Result<Node, Problem> {
    let node = from_file(path)?;
    let name = path.display().to_string();
    let missing = || Problem::file(&name, Some(1), "the key version is missing", "write version: 1 on top");
    match node.entry("version").ok_or_else(missing)?.node.value {
        Value::Null => Err(missing()),
        _ => Ok(node),
    }
}
