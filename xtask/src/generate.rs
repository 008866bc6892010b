//! The files that are generated and committed: who writes them, and whether
//! they are up to date.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;
use crate::tidy::Finding;

/// A program of this repository that writes files.
struct Generator {
    /// What it writes, for people.
    what: &'static str,
    /// Arguments of `cargo run`.
    run: &'static [&'static str],
    output: Output,
}

/// Where what it makes goes.
enum Output {
    /// It takes a folder as its last argument and writes below it, with the
    /// same paths as in the repository.
    Below,
    /// It prints one file.
    Printed(&'static str),
}

const GENERATORS: &[Generator] = &[
    Generator {
        what: "JSON Schemas and the AsyncAPI description of the protocol",
        run: &["--package", "handbell-protocol", "--example", "generate"],
        output: Output::Below,
    },
    Generator {
        what: "JSON Schema of the configuration",
        run: &["--package", "handbell", "--", "config", "schema"],
        output: Output::Printed("docs/schemas/config.schema.json"),
    },
    Generator {
        what: "the capability matrix of the backends",
        run: &["--package", "handbell-backend-conformance", "--example", "matrix"],
        output: Output::Below,
    },
];

/// Folders in which every file is generated; what nobody writes there any more
/// is a leftover.
const OWNED: &[&str] = &["docs/schemas"];

/// Writes everything into the repository.
pub(crate) fn run(repo: &Repo) -> Result<(), Problem> {
    write_below(repo, repo.root())
}

/// Generates beside the repository and names each file that differs.
pub(crate) fn check(repo: &Repo) -> Result<Vec<Finding>, Problem> {
    let fresh = repo.target().join("xtask/generated");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).map_err(|error| io("clear", &fresh, &error))?;
    }
    std::fs::create_dir_all(&fresh).map_err(|error| io("make", &fresh, &error))?;
    write_below(repo, &fresh)?;
    compare(&fresh, repo.root(), OWNED)
}

fn write_below(repo: &Repo, folder: &Path) -> Result<(), Problem> {
    for generator in GENERATORS {
        println!("    {}", generator.what);
        let mut command = repo.cargo(["run", "--quiet"]);
        command.args(generator.run);
        match generator.output {
            Output::Below => shell::quietly(command.arg("--").arg(folder))?,
            Output::Printed(path) => write(&folder.join(path), &shell::read(&mut command)?)?,
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| io("make", folder, &error))?;
    std::fs::write(path, text).map_err(|error| io("write", path, &error))
}

fn compare(fresh: &Path, committed: &Path, owned: &[&str]) -> Result<Vec<Finding>, Problem> {
    let made = files_below(fresh, Path::new(""))?;
    let mut findings = Vec::new();
    for path in &made {
        let new = std::fs::read(fresh.join(path)).map_err(|error| io("read", path, &error))?;
        match std::fs::read(committed.join(path)) {
            Ok(old) if old == new => {}
            Ok(_) => findings.push(Finding::new(path, 0, "is out of date: run `cargo xtask generate`")),
            Err(_) => findings.push(Finding::new(path, 0, "is missing: run `cargo xtask generate`")),
        }
    }
    for folder in owned {
        let left = files_below(committed, Path::new(folder))?.into_iter().filter(|path| !made.contains(path));
        findings.extend(left.map(|path| Finding::new(path, 0, "is no longer generated: delete it")));
    }
    Ok(findings)
}

/// Paths relative to `root` of all files below `root/folder`, which may be absent.
fn files_below(root: &Path, folder: &Path) -> Result<BTreeSet<PathBuf>, Problem> {
    let mut found = BTreeSet::new();
    let here = root.join(folder);
    if !here.is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(&here).map_err(|error| io("read", &here, &error))? {
        let path = folder.join(entry.map_err(|error| io("read", &here, &error))?.file_name());
        if root.join(&path).is_dir() {
            found.extend(files_below(root, &path)?);
        } else {
            found.insert(path);
        }
    }
    Ok(found)
}

fn io(verb: &str, path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(format!("failed to {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("handbell-xtask-{}-{name}", std::process::id()));
        for (path, text) in files {
            write(&root.join(path), text).expect("the temporary folder can be written");
        }
        root
    }

    #[test]
    fn changed_missing_and_left_over_files_are_named() {
        let fresh = folder("fresh", &[("s/same.json", "1"), ("s/changed.json", "2"), ("missing.json", "3")]);
        let committed = folder("committed", &[("s/same.json", "1"), ("s/changed.json", "0"), ("s/left.json", "4")]);
        let findings = compare(&fresh, &committed, &["s", "absent"]).expect("both can be read");
        for root in [fresh, committed] {
            std::fs::remove_dir_all(root).expect("the temporary folder can be removed");
        }
        let found: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("missing.json: is missing"), "{found:?}");
        assert!(found[1].starts_with("s/changed.json: is out of date"), "{found:?}");
        assert!(found[2].starts_with("s/left.json: is no longer generated"), "{found:?}");
    }
}
