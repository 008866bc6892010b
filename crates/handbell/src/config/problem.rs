//! What is wrong with a configuration: what, where, and how to mend it.

use super::node::{Node, Origin, Step, key_text, steps};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) what: String,
    /// `FILE:LINE: key`, `--set KEY`, the variable or the flag.
    pub(crate) place: String,
    /// How to mend it.
    pub(crate) how: String,
}

impl Problem {
    /// A problem with the value at `key` (dotted, no quotes) of `tree`.
    pub(crate) fn at(tree: &Node, key: &str, what: impl Into<String>, how: impl Into<String>) -> Self {
        Self::on(tree, &steps(key), what, how)
    }

    /// A problem with the value at `path` of `tree`.
    pub(crate) fn on(tree: &Node, path: &[Step], what: impl Into<String>, how: impl Into<String>) -> Self {
        Self { what: what.into(), place: place(&tree.origin_of(path), path), how: how.into() }
    }

    /// A problem with a file as a whole, or with a line of it.
    pub(crate) fn file(file: &str, line: Option<usize>, what: impl Into<String>, how: impl Into<String>) -> Self {
        let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
        Self { what: what.into(), place, how: how.into() }
    }
}

/// The place as a person is told it.
pub(crate) fn place(origin: &Origin, path: &[Step]) -> String {
    let key = key_text(path);
    match origin {
        Origin::File { .. } if key.is_empty() => origin.to_string(),
        Origin::File { .. } => format!("{origin}: {key}"),
        Origin::Env(name) => name.clone(),
        Origin::Flag(flag) => (*flag).to_owned(),
        Origin::Set(_) => format!("--set {key}"),
        Origin::Default => key,
    }
}

/// `, did you mean X?` where one of `known` is close to `given`.
pub(crate) fn did_you_mean(given: &str, known: &[&str]) -> Option<String> {
    let close = |name: &&&str| strsim::damerau_levenshtein(given, name) <= 1 + name.len() / 4;
    let best = known.iter().filter(close).min_by_key(|name| strsim::damerau_levenshtein(given, name));
    best.map(|name| format!("did you mean {name}?"))
}
