//! Where things are: the repository and cargo's target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::problem::Problem;

/// The checkout that this xtask belongs to.
#[derive(Debug)]
pub(crate) struct Repo {
    root: PathBuf,
    target: PathBuf,
}

impl Repo {
    /// Cargo tells a program that it runs where its package lies; the
    /// repository is the folder above.
    pub(crate) fn find() -> Result<Self, Problem> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .ok_or_else(|| Problem::new("xtask doesn't know its repository").mend("run it as `cargo xtask …`"))?;
        let root = Path::new(&package).parent().unwrap_or(Path::new("/")).to_path_buf();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory, for everything that may be thrown away.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A path as one types it in the repository.
    pub(crate) fn typed<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// The debug build of the `handbell` binary.
    pub(crate) fn handbell(&self) -> PathBuf {
        self.target.join("debug/handbell")
    }

    /// A cargo command in the repository, with the cargo that started us.
    pub(crate) fn cargo<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(args);
        command
    }

    /// A command in the repository.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }
}
