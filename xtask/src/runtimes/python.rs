//! Python with one library, in a virtual environment of its own.

use std::path::PathBuf;
use std::process::Command;

use super::version;
use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;

/// A library, what to import to see that it is there, and where it goes under
/// cargo's target directory.
#[derive(Debug)]
struct Library {
    name: &'static str,
    wanted: &'static str,
    module: &'static str,
    folder: &'static str,
}

const WEBSOCKETS: Library = Library {
    name: "websockets",
    wanted: "websockets>=15",
    module: "websockets.asyncio.client",
    folder: "demo/python",
};
/// Autobahn's cases for the WebSocket protocol, in a runner that needs nothing else.
const SUITE: Library =
    Library { name: "kosoku", wanted: "kosoku==0.1.0", module: "kosoku", folder: "tools/websocket-suite" };

const OLDEST: (u32, u32) = (3, 10);
pub(super) const INSTALL: &str = "install Python 3.10 or newer with venv and pip, and have `python3` on the PATH \
    (Debian, Ubuntu: `apt install python3 python3-venv`; macOS: `brew install python`)";

/// An interpreter that finds the library.
#[derive(Debug)]
pub(crate) struct Python {
    pub interpreter: PathBuf,
}

/// An interpreter for agents.
pub(super) fn prepare(repo: &Repo) -> Result<Python, Problem> {
    prepare_with(repo, &WEBSOCKETS)
}

/// An interpreter with the suite for the WebSocket protocol.
pub(super) fn prepare_suite(repo: &Repo) -> Result<Python, Problem> {
    prepare_with(repo, &SUITE)
}

/// Makes the virtual environment, unless a usable one is there.
fn prepare_with(repo: &Repo, library: &Library) -> Result<Python, Problem> {
    let Library { name, wanted, module, folder } = library;
    let environment = repo.target().join(folder);
    let interpreter = environment.join("bin/python");
    let has_library = || shell::works(Command::new(&interpreter).args(["-c", &format!("import {module}")]));
    if has_library() {
        println!("    Python: {name} is there from an earlier run");
        return Ok(Python { interpreter });
    }
    check_version()?;
    println!("    Python: {wanted} goes into {}", repo.typed(&environment));
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .map_err(|problem| problem.mend(INSTALL))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted];
    shell::run(Command::new(&interpreter).args(pip)).map_err(|problem| {
        problem.mend(format!("pip could not fetch `{name}`: check the network, the proxy and pip's index settings"))
    })?;
    if has_library() {
        return Ok(Python { interpreter });
    }
    Err(Problem::new(format!("`{name}` is installed but can't be imported"))
        .mend(format!("delete {}", environment.display())))
}

pub(super) fn check_version() -> Result<(), Problem> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2])";
    let text = shell::read(Command::new("python3").args(["-c", script])).map_err(|_| missing())?;
    match version(&text) {
        Some(found) if found >= OLDEST => Ok(()),
        _ => Err(Problem::new(format!("`python3` is version {}, which is too old", text.trim())).mend(INSTALL)),
    }
}

fn missing() -> Problem {
    Problem::new("`python3` is not on the PATH, or doesn't start").mend(INSTALL)
}
