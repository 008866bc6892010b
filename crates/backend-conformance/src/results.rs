//! The committed results of a backend: what the matrix is made from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Failure, Outcome};

/// Set to write results instead of comparing them.
const UPDATE: &str = "HANDBELL_UPDATE_RESULTS";

/// What became of a case that didn't fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It passed.
    Passed,
    /// It wasn't run: why, and what happens instead.
    Skipped(String),
}

/// The fates of a backend's cases, by name. Without times, so that they differ
/// only when a backend does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Results(BTreeMap<String, Fate>);

impl Results {
    /// The fate of a case.
    #[must_use]
    pub fn get(&self, case: &str) -> Option<&Fate> {
        self.0.get(case)
    }

    pub(crate) fn insert(&mut self, case: &str, fate: Fate) {
        self.0.insert(case.to_owned(), fate);
    }

    pub(crate) fn passed(&self) -> usize {
        self.0.values().filter(|fate| **fate == Fate::Passed).count()
    }

    pub(crate) fn skipped(&self) -> usize {
        self.0.len() - self.passed()
    }

    /// The committed results of a backend below the repository's root; `None`
    /// where it has none.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn committed(root: &Path, backend: &str) -> Result<Option<Self>, Failure> {
        let path = root.join(FOLDER).join(format!("{backend}.json"));
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&fs::read_to_string(path)?)?))
    }

    /// Compares a whole run with what is committed, or commits it.
    pub(crate) fn settle(&self, backend: &str) -> Outcome {
        let root = repository();
        if std::env::var_os(UPDATE).is_some() {
            let folder = root.join(FOLDER);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{backend}.json")), serde_json::to_string_pretty(self)? + "\n")?;
            return Ok(());
        }
        let committed = Self::committed(&root, backend)?.unwrap_or_default();
        ensure!(
            committed == *self,
            "{backend}: the results are not those in {FOLDER}/{backend}.json: {}; set {UPDATE}=1 to write them, then run `cargo xtask generate`",
            self.difference(&committed)
        );
        Ok(())
    }

    fn difference(&self, other: &Self) -> String {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        let differs = names.filter(|name| self.0.get(*name) != other.0.get(*name));
        differs.map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Where results lie, from the repository's root.
const FOLDER: &str = "crates/backend-conformance/results";

/// The repository that this was built in.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map_or_else(PathBuf::new, Path::to_path_buf)
}
