//! Node with `ws`, in a `node_modules` of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::version;
use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;

const LIBRARY: &str = "ws@8";
const OLDEST: (u32, u32) = (18, 0);
const INSTALL: &str = "install Node.js 18 or newer with npm, and have `node` and `npm` on the PATH \
    (Debian, Ubuntu: `apt install nodejs npm`; macOS: `brew install node`)";

/// Where `require` finds the library, for `NODE_PATH`.
#[derive(Debug)]
pub(crate) struct Node {
    pub modules: PathBuf,
}

/// Installs the library, unless it is there.
pub(super) fn prepare(repo: &Repo) -> Result<Node, Problem> {
    check_version()?;
    let folder = repo.target().join("demo/javascript");
    let modules = folder.join("node_modules");
    if has_library(&modules) {
        println!("    JavaScript: ws is there from an earlier run");
        return Ok(Node { modules });
    }
    println!("    JavaScript: {LIBRARY} goes into {}", repo.typed(&folder));
    std::fs::create_dir_all(&folder)
        .map_err(|error| Problem::new(format!("failed to make the folder {}: {error}", folder.display())))?;
    if !shell::works(Command::new("npm").arg("--version")) {
        return Err(Problem::new("`npm` is not on the PATH").mend(INSTALL));
    }
    let quiet = ["--no-audit", "--no-fund", "--loglevel=error", LIBRARY];
    shell::run(Command::new("npm").args(["install", "--prefix"]).arg(&folder).args(quiet)).map_err(|problem| {
        problem.mend("npm could not fetch `ws`: check the network, the proxy and npm's registry settings")
    })?;
    if has_library(&modules) {
        return Ok(Node { modules });
    }
    Err(Problem::new("`ws` is installed but can't be loaded").mend(format!("delete {}", folder.display())))
}

fn has_library(modules: &Path) -> bool {
    // By its full path: a `ws` that lies elsewhere on the machine doesn't count.
    let script = "require(require('path').join(process.argv[1], 'ws'))";
    shell::works(Command::new("node").args(["-e", script]).arg(modules))
}

fn check_version() -> Result<(), Problem> {
    let text = shell::read(Command::new("node").arg("--version")).map_err(|_| missing())?;
    match version(&text) {
        Some(found) if found >= OLDEST => Ok(()),
        _ => Err(Problem::new(format!("`node` is version {}, which is too old", text.trim())).mend(INSTALL)),
    }
}

fn missing() -> Problem {
    Problem::new("`node` is not on the PATH, or doesn't start").mend(INSTALL)
}
