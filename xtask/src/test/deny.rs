//! `cargo deny`, built from source once where the machine has none.

use std::path::PathBuf;
use std::process::Command;

use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;

const VERSION: &str = "0.20.2";

/// Bans, licences and sources; advisories need a database from elsewhere.
pub(super) fn run(repo: &Repo) -> Result<(), Problem> {
    let program = find_or_install(repo)?;
    shell::run(repo.command(program).args([
        "--workspace",
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn find_or_install(repo: &Repo) -> Result<PathBuf, Problem> {
    let folder = repo.target().join("tools");
    let ours = folder.join("bin/cargo-deny");
    for program in [PathBuf::from("cargo-deny"), ours.clone()] {
        if shell::works(Command::new(&program).arg("--version")) {
            return Ok(program);
        }
    }
    println!("    cargo-deny is not on the PATH: building {VERSION} into {} (some minutes, once)", repo.typed(&folder));
    install(repo, &folder)?;
    Ok(ours)
}

fn install(repo: &Repo, folder: &std::path::Path) -> Result<(), Problem> {
    let build = folder.join("build");
    // Unoptimised: it runs for a second and would take longer to optimise.
    let mut command = repo.cargo(["install", "cargo-deny", "--version", VERSION, "--locked", "--debug", "--quiet"]);
    command.arg("--root").arg(folder).arg("--target-dir").arg(&build).env("CARGO_PROFILE_DEV_DEBUG", "0");
    shell::run(&mut command).map_err(|problem| {
        problem.mend(
            "cargo-deny can't be built here: install it yourself, or leave it out with `--tier style --tier tests`",
        )
    })?;
    // A gigabyte that nobody needs any more.
    std::fs::remove_dir_all(&build)
        .map_err(|error| Problem::new(format!("failed to remove {}: {error}", build.display())))
}
