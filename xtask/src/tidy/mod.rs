//! What clippy can't know: the rules between the crates, the words at the top
//! of each file, file lengths, forbidden words, generated files.
//!
//! Each check is a function from what was read to findings; only this file
//! reads and prints.

mod dependencies;
mod docs;
mod length;
mod manifests;
mod map;
mod rules;
mod sources;
mod words;

use std::fmt;
use std::path::PathBuf;

use crate::generate;
use crate::metadata;
use crate::problem::Problem;
use crate::repo::Repo;

/// Something to mend, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the repository.
    path: PathBuf,
    /// From 1; 0 when it concerns the whole file.
    line: usize,
    what: String,
}

impl Finding {
    pub(crate) fn new(path: impl Into<PathBuf>, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.what),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.what),
        }
    }
}

/// Runs every check and reports all findings, not only the first.
pub(crate) fn run(repo: &Repo) -> Result<(), Problem> {
    let graph = metadata::load(repo)?;
    let sources = sources::load(repo.root())?;
    let crates = manifests::load(repo.root(), &graph)?;
    let mut findings = dependencies::check(&graph);
    findings.extend(manifests::check(&crates));
    findings.extend(map::check(&crates, &sources));
    findings.extend(docs::check(&sources));
    findings.extend(length::check(&sources));
    findings.extend(words::check(&sources));
    // A generator that doesn't build must not hide the rest.
    findings.extend(
        generate::check(repo).unwrap_or_else(|problem| vec![Finding::new("generated files", 0, problem.to_string())]),
    );
    for long in length::worth_splitting(&sources) {
        println!("    {long}");
    }
    println!("    {} crates and {} files looked at", crates.len(), sources.len());
    conclude(findings)
}

fn conclude(mut findings: Vec<Finding>) -> Result<(), Problem> {
    if findings.is_empty() {
        return Ok(());
    }
    findings.sort();
    for finding in &findings {
        println!("  ✗ {finding}");
    }
    Err(Problem::new(format!("tidy found {} to mend", findings.len())))
}
