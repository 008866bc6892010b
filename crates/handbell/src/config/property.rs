//! What must hold of any configuration, whatever bytes it is made of: it is
//! refused with a place, or it can be printed and read again as the same.
//!
//! Opens no file, not even those that the configuration names.

use super::{
    check::check_values,
    load::{Loaded, laid_upon_defaults},
    node::Node,
    print::{effective, effective_with_origins},
    problem::Problem,
    read::read,
    source::{from_env, from_set, from_text},
};

/// Reads `text` as YAML, as TOML, and each of its lines as a `--set` and as
/// the value of a variable.
///
/// # Panics
/// When something doesn't hold; this is a test that many tests share.
pub fn holds(text: &str) {
    for name in ["c.yaml", "c.toml"] {
        consider(from_text(name, text));
    }
    for line in text.lines() {
        consider(from_set(line));
        if let Some((key, value)) = line.split_once('=') {
            consider(Ok(from_env([(format!("HANDBELL__{key}"), value.to_owned())].into_iter())));
        }
    }
}

/// A source that can be read is a good configuration, or has problems that
/// say what, where and how to mend it.
fn consider(source: Result<Node, Problem>) {
    match source.and_then(|node| load(node).map_err(|mut problems| problems.remove(0))) {
        Ok(loaded) => comes_back(&loaded),
        Err(problem) => {
            assert!(!problem.what.is_empty() && !problem.how.is_empty(), "a problem says too little: {problem:?}");
        }
    }
}

fn load(node: Node) -> Result<Loaded, Vec<Problem>> {
    let tree = laid_upon_defaults(node);
    let config = read(&tree).map_err(|problem| vec![problem])?;
    let problems = check_values(&config, &tree);
    if problems.is_empty() { Ok(Loaded { config, tree }) } else { Err(problems) }
}

/// Printed and read again it is the same, in both forms that are printed.
fn comes_back(loaded: &Loaded) {
    let printed = effective(loaded);
    let again = |name: &str, text: &str| match from_text(name, text).map_err(|problem| vec![problem]).and_then(load) {
        Ok(again) => assert_eq!(effective(&again), printed, "read again from {name}, it is another"),
        Err(problems) => panic!("what was printed can't be read again: {problems:?}\n{text}"),
    };
    again("c.yaml", &serde_yaml_ng::to_string(&printed).expect("a JSON value can be written as YAML"));
    again("c.json", &printed.to_string());
    assert!(!effective_with_origins(loaded).is_empty());
}
