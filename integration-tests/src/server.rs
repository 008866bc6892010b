//! A `handbell dev` or `handbell sidecar` process.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::PATIENCE;

/// The binary under test: `HANDBELL_BIN`, or the one beside the tests.
///
/// # Errors
/// When there is none.
pub fn handbell() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("HANDBELL_BIN") {
        return Ok(path.into());
    }
    let exe = std::env::current_exe()?;
    // A program lies in target/PROFILE, a test in target/PROFILE/deps.
    let mut beside = exe.ancestors().skip(1).take(2).map(|folder| folder.join("handbell"));
    beside.find(|binary| binary.exists()).with_context(|| {
        format!("there is no handbell beside {}; build it, or name another in HANDBELL_BIN", exe.display())
    })
}

/// A running `handbell dev` or `handbell sidecar`, killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where agents connect, one address for each sidecar.
    pub agents: Vec<String>,
    /// The admin address.
    pub admin: String,
    /// What it was started with, to be started again on the same ports.
    arguments: Vec<String>,
}

impl Server {
    /// Starts `handbell dev` on free ports with its data in `dir`.
    ///
    /// # Errors
    /// When it doesn't become ready.
    pub async fn start(dir: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let data = dir.to_str().context("the directory's name is text")?;
        let mut arguments: Vec<String> = ["dev", "--json", "--data", data].map(Into::into).into();
        arguments.extend(more.iter().map(ToString::to_string));
        let mut first = arguments.clone();
        first.extend(["--listen", &free_ports(4)?, "--admin", "127.0.0.1:0"].map(Into::into));
        let (child, ready) = launch(PATIENCE, &first).await?;
        let (agents, admin) = addresses(&ready)?;
        let server = Self { child, agents, admin, arguments };
        Ok(server)
    }

    /// Starts `handbell sidecar` on free ports over the NATS server at `url`.
    ///
    /// # Errors
    /// When it doesn't become ready.
    pub async fn sidecar(url: &str, more: &[&str]) -> anyhow::Result<Self> {
        Self::sidecar_within(PATIENCE, url, more).await
    }

    /// The same, with another patience: it waits for a broker that isn't there.
    ///
    /// # Errors
    /// When it doesn't become ready in that time.
    pub async fn sidecar_within(patience: Duration, url: &str, more: &[&str]) -> anyhow::Result<Self> {
        let url = format!("backend.nats.url={url}");
        let mut arguments: Vec<String> =
            ["sidecar", "--json", "--backend", "nats", "--set", &url].map(Into::into).into();
        arguments.extend(more.iter().map(ToString::to_string));
        let mut first = arguments.clone();
        first.extend(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"].map(Into::into));
        let (child, ready) = launch(patience, &first).await?;
        let (agents, admin) = addresses(&ready)?;
        Ok(Self { child, agents, admin, arguments })
    }

    /// Starts it again on the addresses that it had.
    ///
    /// # Errors
    /// When it doesn't become ready.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let port = |url: &str| url.trim_start_matches("ws://").split('/').next().unwrap_or_default().to_owned();
        let mut arguments = self.arguments.clone();
        let admin = self.admin.trim_start_matches("http://").trim_end_matches('/').to_owned();
        arguments.extend(["--admin".into(), admin, "--listen".into(), port(&self.agents[0])]);
        let (child, ready) = launch(PATIENCE, &arguments).await?;
        self.child = child;
        (self.agents, self.admin) = addresses(&ready)?;
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it can't be killed.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill the server")
    }

    /// SIGTERM.
    ///
    /// # Errors
    /// When it can't be sent.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        self.signal("TERM").await
    }

    /// Sends a signal by its name.
    ///
    /// # Errors
    /// When it can't be sent.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().context("the server has ended")?;
        let status = Command::new("kill").args([format!("-{name}"), id.to_string()]).status().await?;
        if !status.success() {
            bail!("kill -{name} {id} failed");
        }
        Ok(())
    }

    /// The memory that it holds, in bytes.
    ///
    /// # Errors
    /// When the system doesn't tell: only Linux does.
    pub fn rss(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib << 10)
    }

    /// Waits for the exit code.
    ///
    /// # Errors
    /// When it doesn't end.
    pub async fn exit_code(&mut self) -> anyhow::Result<Option<i32>> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the server goes on")??;
        Ok(status.code())
    }

    /// Whether it has ended within `time`.
    pub async fn ends_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.child.wait()).await.is_ok()
    }
}

/// An address whose port and the ones behind it are free: sidecars take ports
/// in a row, and must find the same ones again after a restart.
fn free_ports(count: u16) -> anyhow::Result<String> {
    for _ in 0..100 {
        let first = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let row = (0..count).map(|n| std::net::TcpListener::bind(("127.0.0.1", first.checked_add(n)?)).ok());
        if row.collect::<Option<Vec<_>>>().is_some() {
            return Ok(format!("127.0.0.1:{first}"));
        }
    }
    bail!("no {count} free ports in a row")
}

async fn launch(patience: Duration, arguments: &[String]) -> anyhow::Result<(Child, Value)> {
    let mut child = Command::new(handbell()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start handbell")?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(patience, lines.next_line()).await.context("handbell didn't become ready")??;
    let Some(line) = line else {
        bail!("handbell {arguments:?} ended before it was ready: {:?}", child.wait().await?);
    };
    Ok((child, serde_json::from_str(&line).with_context(|| format!("the ready line {line:?}"))?))
}

fn addresses(ready: &Value) -> anyhow::Result<(Vec<String>, String)> {
    let agents = ready["agents"].as_array().context("agents")?;
    let agents = agents.iter().filter_map(|url| Some(url.as_str()?.to_owned())).collect();
    let admin = ready["admin"].as_str().context("admin")?.trim_end_matches('/').to_owned();
    Ok((agents, admin))
}
