//! Words that mean "not finished", and words that a pure crate can't need.

use super::Finding;
use super::rules;
use super::sources::Source;

/// Put together here, so that this file doesn't hold them.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

/// The other half of a test, in a process of its own: what the test starts and kills.
const STARTED_BY_ANOTHER: &str = concat!("#[ig", "nore = \"run by ");

/// Every line that says one of them.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(|source| unfinished(source).into_iter().chain(impure(source))).collect()
}

fn unfinished(source: &Source) -> Vec<Finding> {
    let hits = source.lines().flat_map(|(number, line)| {
        let started_by_another = line.contains(STARTED_BY_ANOTHER);
        let words = UNFINISHED.iter().filter(move |word| says(line, word) && !started_by_another);
        words.map(move |word| (number, *word))
    });
    hits.map(|(number, word)| Finding::new(&source.path, number, format!("`{word}`: finish it, or write an issue")))
        .collect()
}

fn impure(source: &Source) -> Vec<Finding> {
    let Some(rule) = crate_of(source).and_then(rules::of) else { return Vec::new() };
    let code = source.lines().take(source.production_lines()).filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.flat_map(|(number, line)| {
        rule.silent_on.iter().filter(|word| says(line, word)).map(move |word| (number, word))
    })
    .map(|(number, word)| {
        let what = format!("`{word}` in `{}`, which is pure: hand it in from outside", rule.name);
        Finding::new(&source.path, number, what)
    })
    .collect()
}

/// The crate whose library code this is; tests in files of their own are not.
fn crate_of(source: &Source) -> Option<&str> {
    if source.path.iter().any(|part| part == "tests" || part == "tests.rs") {
        return None;
    }
    let mut parts = source.path.iter().filter_map(|part| part.to_str());
    match (parts.next()?, parts.next()?, parts.next()?) {
        ("crates", name, "src") if source.is_rust() => Some(name),
        _ => None,
    }
}

/// As a word of its own on its left side.
fn says(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Finding> {
        check(&[Source { path: path.into(), text: text.into() }])
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        for word in UNFINISHED {
            let [finding] = found("a.py", &format!("x\n  {word} y\n")).try_into().expect("exactly one");
            assert_eq!(finding.line, 2);
        }
    }

    #[test]
    fn a_child_that_another_test_starts_is_finished() {
        assert!(found("a.rs", concat!("#[ig", "nore = \"run by its_parent\"]")).is_empty());
        assert_eq!(found("a.rs", concat!("#[ig", "nore = \"slow\"]")).len(), 1);
    }

    #[test]
    fn words_that_only_contain_one_are_left_alone() {
        assert!(found("a.md", concat!("MANTO", "DON, mastoto", "do!(")).is_empty());
    }

    #[test]
    fn a_pure_crate_takes_its_time_from_outside() {
        let text = "// Instant::now\nfn f() { Instant::now() }\n#[cfg(test)]\nmod tests {\n Instant::now\n}\n";
        let lines: Vec<_> = found("crates/groups/src/window.rs", text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2]);
        assert!(found("crates/sidecar/src/socket.rs", text).is_empty());
        assert!(found("crates/groups/tests/simulation.rs", text).is_empty());
        assert!(found("crates/groups/src/window/tests.rs", text).is_empty());
    }
}
