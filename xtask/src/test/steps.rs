//! The steps that are one command each.

use crate::problem::Problem;
use crate::repo::Repo;
use crate::runtimes;
use crate::shell;

/// Nothing is left to rustfmt.
pub(super) fn format(repo: &Repo) -> Result<(), Problem> {
    shell::run(&mut repo.cargo(["fmt", "--all", "--check"])).map_err(|problem| problem.mend("run `cargo fmt --all`"))
}

/// Every warning is an error.
pub(super) fn clippy(repo: &Repo) -> Result<(), Problem> {
    let mut command = repo.cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    shell::run(&mut command)
}

/// Binaries and tests in one go, so that both see the same features of their
/// libraries and nothing is built twice; the tests start the binaries.
pub(super) fn build(repo: &Repo) -> Result<(), Problem> {
    shell::run(&mut repo.cargo(["build", "--workspace", "--all-targets", "--locked"]))
}

/// Unit, property, conformance and integration tests, and examples in docs.
pub(super) fn tests(repo: &Repo) -> Result<(), Problem> {
    let (python, node) = runtimes::prepare_both(repo)?;
    let mut command =
        repo.cargo(["test", "--workspace", "--exclude", "handbell-backend-nats", "--locked", "--no-fail-fast"]);
    command.env("HANDBELL_TEST_PYTHON", &python.interpreter).env("HANDBELL_TEST_NODE_PATH", &node.modules);
    command.env("HANDBELL_TEST_BINARY", repo.handbell());
    // Snapshots are compared, never written.
    command.env("INSTA_UPDATE", "no");
    shell::run(&mut command)
}

/// The backend on NATS, and sidecars over it, with a real server.
pub(super) fn nats(repo: &Repo) -> Result<(), Problem> {
    with_nats(repo, &["conformance", "nats", "nats_shared"], &[])
}

/// Sidecars under faults. Two at a time: each has three processes.
pub(super) fn faults(repo: &Repo) -> Result<(), Problem> {
    with_nats(repo, &["nats_faults"], &["--", "--test-threads=2"])
}

fn with_nats(repo: &Repo, tests: &[&str], more: &[&str]) -> Result<(), Problem> {
    let nats = runtimes::prepare_nats(repo)?;
    let packages = ["-p", "handbell-backend-nats", "-p", "integration-tests", "--features", "integration-tests/nats"];
    let mut command = repo.cargo(["test", "--locked", "--no-fail-fast"]);
    command.args(packages).args(tests.iter().flat_map(|test| ["--test", test])).args(more);
    command.env("HANDBELL_TEST_BINARY", repo.handbell());
    command.env("HANDBELL_TEST_NATS_SERVER", &nats.server).env("HANDBELL_TEST_NATS_PYTHON", &nats.python);
    shell::run(&mut command)
}
