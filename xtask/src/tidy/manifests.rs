//! Every crate's manifest: its name, and the workspace's lints.

use std::path::{Path, PathBuf};

use super::Finding;
use super::rules;
use crate::metadata::Graph;
use crate::problem::Problem;

/// A crate of the workspace as its manifest describes it.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Of the package.
    pub name: String,
    /// Relative to the repository.
    pub folder: PathBuf,
    pub text: String,
}

impl Manifest {
    /// The last part of its folder, by which people call it.
    pub(crate) fn short_name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn path(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }
}

pub(crate) fn load(root: &Path, graph: &Graph) -> Result<Vec<Manifest>, Problem> {
    let read = |folder: &PathBuf| {
        let path = folder.join("Cargo.toml");
        std::fs::read_to_string(&path)
            .map_err(|error| Problem::new(format!("failed to read {}: {error}", path.display())))
    };
    graph
        .members
        .iter()
        .map(|member| {
            let folder = member.folder.strip_prefix(root).unwrap_or(&member.folder).to_path_buf();
            Ok(Manifest { name: member.name.clone(), folder, text: read(&member.folder)? })
        })
        .collect()
}

pub(crate) fn check(manifests: &[Manifest]) -> Vec<Finding> {
    manifests.iter().flat_map(check_one).collect()
}

fn check_one(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let expected = rules::package(&manifest.short_name());
    if manifest.name != expected {
        findings.push(Finding::new(
            manifest.path(),
            0,
            format!("is named `{}` instead of `{expected}`", manifest.name),
        ));
    }
    if !inherits_lints(&manifest.text) {
        findings.push(Finding::new(manifest.path(), 0, "lacks `[lints] workspace = true`"));
    }
    findings
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, folder: &str, text: &str) -> Manifest {
        Manifest { name: name.into(), folder: folder.into(), text: text.into() }
    }

    #[test]
    fn a_crate_inherits_the_lints() {
        assert!(check(&[manifest("handbell-groups", "crates/groups", "[lints]\nworkspace = true\n")]).is_empty());
        assert_eq!(check(&[manifest("handbell-groups", "crates/groups", "[dependencies]\n")]).len(), 1);
        let own = "[lints]\nrust.unsafe_code = \"allow\"\n";
        assert_eq!(check(&[manifest("handbell-groups", "crates/groups", own)]).len(), 1);
    }

    #[test]
    fn a_crate_is_named_after_its_folder() {
        let lints = "[lints]\nworkspace = true\n";
        assert_eq!(check(&[manifest("groups", "crates/groups", lints)]).len(), 1);
        assert!(check(&[manifest("xtask", "xtask", lints), manifest("handbell", "crates/handbell", lints)]).is_empty());
    }
}
