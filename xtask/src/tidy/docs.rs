//! Every crate root and module says what it owns.

use super::Finding;
use super::sources::Source;

/// Rust files that don't open with `//!`.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mute = sources.iter().filter(|source| source.is_rust() && !opens_with_docs(&source.text));
    mute.map(|source| {
        Finding::new(&source.path, 1, "must open with `//!`: what it owns, and what it deliberately doesn't know")
    })
    .collect()
}

fn opens_with_docs(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("#!["));
    lines.next().and_then(|line| line.strip_prefix("//!")).is_some_and(|words| words.trim().len() >= SHORTEST)
}

/// Below this many letters nothing is said.
const SHORTEST: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opens_with_its_subject() {
        assert!(opens_with_docs("//! Owns the window of a group.\nuse a;\n"));
        assert!(opens_with_docs("#![no_std]\n\n//! Owns the window of a group.\n"));
        assert!(!opens_with_docs("use a;\n//! Owns the window of a group.\n"));
        assert!(!opens_with_docs("/// Owns the window of a group.\nmod a;\n"));
        assert!(!opens_with_docs("//! placeholder\n"));
        assert!(!opens_with_docs(""));
    }
}
