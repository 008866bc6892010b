//! Reads the sources that people write: all of them, once.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::problem::Problem;

/// A text file of the repository.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the repository.
    pub path: PathBuf,
    pub text: String,
}

const FOLDERS: &[&str] =
    &["crates", "integration-tests", "xtask", "fuzz", "examples", "config", "docs", ".ci", ".cargo"];
const EXTENSIONS: &[&str] =
    &["rs", "py", "js", "mjs", "ts", "sh", "toml", "yaml", "yml", "md", "html", "css", "tpl", "sql"];
const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__"];

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.extension() == Some(OsStr::new("rs"))
    }

    /// How many lines come before the tests at the file's end.
    pub(crate) fn production_lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_start =
            |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
        lines.windows(2).position(is_start).unwrap_or(lines.len())
    }

    /// Lines with their numbers from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }
}

/// Everything under the folders that hold sources, and at the top.
pub(crate) fn load(root: &Path) -> Result<Vec<Source>, Problem> {
    let mut sources = Vec::new();
    files_of(root, root, false, &mut sources)?;
    for folder in FOLDERS.iter().map(|name| root.join(name)).filter(|folder| folder.is_dir()) {
        files_of(root, &folder, true, &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn files_of(root: &Path, folder: &Path, deep: bool, into: &mut Vec<Source>) -> Result<(), Problem> {
    let unreadable = |path: &Path, error| Problem::new(format!("failed to read {}: {error}", path.display()));
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if deep && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                files_of(root, &path, deep, into)?;
            }
        } else if is_source(&path) {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            into.push(Source { path: path.strip_prefix(root).unwrap_or(&path).to_path_buf(), text });
        }
    }
    Ok(())
}

/// By its ending; a file without one (`.ci/run`) is a script.
fn is_source(path: &Path) -> bool {
    match path.extension() {
        Some(extension) => EXTENSIONS.iter().any(|known| extension == *known),
        None => path.parent().and_then(Path::file_name) == Some(OsStr::new(".ci")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_at_the_end_of_a_file_don_t_count_as_its_length() {
        let source = |text: &str| Source { path: "a.rs".into(), text: text.into() };
        assert_eq!(source("a\nb\n#[cfg(test)]\nmod tests {\n}\n").production_lines(), 2);
        assert_eq!(source("a\n#[cfg(test)]\nfn helper() {}\nb\n").production_lines(), 4);
        assert_eq!(source("a\nuse b;\nmod c {\n}\n").production_lines(), 4);
        assert_eq!(source("#[cfg(test)]\nmod tests;\nb\n").production_lines(), 3);
    }

    #[test]
    fn sources_are_known_by_their_ending() {
        assert!(is_source(Path::new(".ci/run")) && is_source(Path::new("a/b.rs")));
        assert!(
            !is_source(Path::new("LICENSE")) && !is_source(Path::new("a.png")) && !is_source(Path::new("Cargo.lock"))
        );
    }
}
