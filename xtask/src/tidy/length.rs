//! Files have one subject and stay short.

use super::Finding;
use super::sources::Source;

/// Lines without the tests at the end; more fails.
const LIMIT: usize = 450;
/// More is listed, so that the next one who works there thinks of it.
const NOTED: usize = 300;

/// Files that may be longer, each with its reason.
const ALLOWED: &[(&str, &str)] =
    &[("crates/groups/tests/sim/world.rs", "one modelled world: log, cells, members and clock act on one another")];

/// Files over the limit, and reasons that are no longer needed.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    check_against(sources, ALLOWED)
}

fn check_against(sources: &[Source], allowed: &[(&str, &str)]) -> Vec<Finding> {
    let is_allowed = |source: &Source| allowed.iter().any(|(path, _)| source.path.as_os_str() == *path);
    let too_long = sources.iter().filter(|source| is_long(source, LIMIT) && !is_allowed(source)).map(|source| {
        let what = format!(
            "{} lines without its tests; split it, or give a reason in xtask/src/tidy/length.rs",
            source.production_lines()
        );
        Finding::new(&source.path, 0, what)
    });
    let is_needed = |path: &str| sources.iter().any(|source| source.path.as_os_str() == path && is_long(source, LIMIT));
    let stale = allowed.iter().filter(|(path, _)| !is_needed(path));
    let stale = stale.map(|(path, _)| Finding::new(*path, 0, "needs no exception from the length limit any more"));
    too_long.chain(stale).collect()
}

/// What isn't too long yet, longest first.
pub(crate) fn worth_splitting(sources: &[Source]) -> Vec<String> {
    let mut long: Vec<_> = sources.iter().filter(|source| is_long(source, NOTED) && !is_long(source, LIMIT)).collect();
    long.sort_by_key(|source| std::cmp::Reverse(source.production_lines()));
    long.iter()
        .map(|source| format!("worth splitting: {} ({} lines)", source.path.display(), source.production_lines()))
        .collect()
}

fn is_long(source: &Source, limit: usize) -> bool {
    source.is_rust() && source.production_lines() > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, lines: usize) -> Source {
        Source { path: path.into(), text: "line\n".repeat(lines) }
    }

    #[test]
    fn a_file_over_the_limit_needs_a_reason() {
        let sources = [source("a.rs", LIMIT), source("b.rs", LIMIT + 1)];
        assert_eq!(check_against(&sources, &[]).len(), 1);
        assert!(check_against(&sources, &[("b.rs", "a table")]).is_empty());
    }

    #[test]
    fn a_reason_that_is_no_longer_needed_goes() {
        assert_eq!(check_against(&[source("a.rs", 10)], &[("a.rs", "a table")]).len(), 1);
        assert_eq!(check_against(&[], &[("gone.rs", "a table")]).len(), 1);
    }

    #[test]
    fn long_files_are_listed_before_they_fail() {
        let listed = worth_splitting(&[source("a.rs", NOTED + 1), source("b.rs", NOTED), source("c.rs", LIMIT + 1)]);
        assert!(matches!(listed.as_slice(), [one] if one.contains("a.rs")), "{listed:?}");
    }
}
