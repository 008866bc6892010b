//! A sidecar of the bench's own: a child process on a temporary directory.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::plan::Plan;
use crate::{failure::Failure, reach::Place};

/// How long a child may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that is removed when this goes.
#[derive(Debug)]
pub(super) struct TempDir(PathBuf);

impl TempDir {
    /// A new directory below `parent`.
    pub(super) fn new(parent: &Path) -> Result<Self, Failure> {
        let name = format!("handbell-bench-{}-{:08x}", std::process::id(), unique());
        let dir = parent.join(name);
        std::fs::create_dir_all(&dir).map_err(|error| {
            let how = "name a directory that this user can write with --dir";
            Failure::failed(format!("no directory can be made: {error}"), dir.display().to_string(), how)
        })?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "a temporary directory stays behind");
        }
    }
}

/// A number that no other directory of this process has.
fn unique() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A running child.
pub(super) struct Own {
    child: Child,
    pub(super) place: Place,
    /// From the start of the process to its line "ready".
    pub(super) ready: Duration,
    _dir: TempDir,
}

#[derive(Deserialize)]
struct Ready {
    agents: Vec<String>,
}

impl Own {
    /// Starts `handbell dev` with the settings of `--set` and none of the
    /// user's: neither file nor environment.
    pub(super) async fn start(plan: &Plan) -> Result<Self, Failure> {
        let dir = TempDir::new(&plan.dir)?;
        let program = std::env::current_exe().map_err(|error| not_started(&error.to_string()))?;
        let mut command = Command::new(program);
        command.args(["dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json", "-q"]);
        command.arg("--data").arg(dir.path().join("log"));
        command.args(plan.set.iter().flat_map(|set| ["--set", set]));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HANDBELL")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command.spawn().map_err(|error| not_started(&error.to_string()))?;
        let url = tokio::time::timeout(PATIENCE, ready(&mut child)).await.ok().flatten();
        let ready = begun.elapsed();
        let url = url.ok_or_else(|| not_started("it did not say ready"))?;
        let place = Place { url, named_by: "the bench's own sidecar".into(), token: None };
        Ok(Self { child, place, ready, _dir: dir })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it at once: nothing that it has is needed.
    pub(super) async fn end(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "the bench's sidecar could not be ended");
        }
    }
}

async fn ready(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take()?;
    let line = BufReader::new(stdout).lines().next_line().await.ok()??;
    serde_json::from_str::<Ready>(&line).ok()?.agents.into_iter().next()
}

fn not_started(why: &str) -> Failure {
    Failure::failed(
        format!("the bench's own sidecar did not start: {why}"),
        "handbell dev",
        "try handbell dev --ephemeral by itself, or name one that runs with --url",
    )
}
