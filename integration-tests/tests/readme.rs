//! The README shows the agents that the tests run, to the letter.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_readme_shows_the_example_agents_as_they_are() {
    let readme = read("README.md");
    for (language, path) in [("python", "examples/python/agent.py"), ("javascript", "examples/javascript/agent.js")] {
        let shown = format!("```{language}\n{}```\n", read(path));
        assert!(readme.contains(&shown), "README.md doesn't show {path} as it is; copy the file into its code block");
    }
}
