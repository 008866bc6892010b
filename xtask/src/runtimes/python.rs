//! Python with `websockets`, in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::version;
use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;

const LIBRARY: &str = "websockets>=15";
const OLDEST: (u32, u32) = (3, 10);
const INSTALL: &str = "install Python 3.10 or newer with venv and pip, and have `python3` on the PATH \
    (Debian, Ubuntu: `apt install python3 python3-venv`; macOS: `brew install python`)";

/// An interpreter that finds the library.
#[derive(Debug)]
pub(crate) struct Python {
    pub interpreter: PathBuf,
}

/// Makes the virtual environment, unless a usable one is there.
pub(super) fn prepare(repo: &Repo) -> Result<Python, Problem> {
    let environment = repo.target().join("demo/python");
    let interpreter = environment.join("bin/python");
    if has_library(&interpreter) {
        println!("    Python: websockets is there from an earlier run");
        return Ok(Python { interpreter });
    }
    check_version()?;
    println!("    Python: {LIBRARY} goes into {}", repo.typed(&environment));
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .map_err(|problem| problem.mend(INSTALL))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", LIBRARY];
    shell::run(Command::new(&interpreter).args(pip)).map_err(|problem| {
        problem.mend("pip could not fetch `websockets`: check the network, the proxy and pip's index settings")
    })?;
    if has_library(&interpreter) {
        return Ok(Python { interpreter });
    }
    Err(Problem::new("`websockets` is installed but can't be imported")
        .mend(format!("delete {}", environment.display())))
}

fn has_library(interpreter: &Path) -> bool {
    shell::works(Command::new(interpreter).args(["-c", "import websockets.asyncio.client"]))
}

fn check_version() -> Result<(), Problem> {
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
