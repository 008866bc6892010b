//! `dev` and `sidecar`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of commands that run; each stands for a key.
#[derive(Debug, Args)]
pub(crate) struct RunFlags {
    /// Where events are stored: embedded or nats (backend.kind)
    #[arg(long, value_enum, value_name = "KIND", hide_possible_values = true)]
    pub(crate) backend: Option<BackendName>,
    /// Where agents connect: IP:PORT, port 0 for any, or unix:/path (sidecar.listen)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where operators ask: IP:PORT, port 0 for any (admin.listen; of sidecar sidecar.admin.listen)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
}

/// The backends of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    /// A log inside this process
    Embedded,
    /// NATS JetStream
    Nats,
}

/// `dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell dev                                   agents at 127.0.0.1:7710, page at 127.0.0.1:7711
  handbell dev --sidecars 2 --ephemeral          two ports for agents, nothing is kept
  handbell dev --listen 127.0.0.1:0 --admin 127.0.0.1:0 --json
                                                 free ports, told in one JSON line on stdout

The first SIGTERM or SIGINT lets agents finish (sidecar.drain), a second one exits at once.")]
pub(crate) struct DevArgs {
    /// How many sidecars; further ones listen on the next ports
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) sidecars: u16,
    /// The log's directory (backend.embedded.dir); by default in the user's data folder
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    pub(crate) data: Option<PathBuf>,
    /// Keep the log in memory only (backend.embedded.ephemeral)
    #[arg(long)]
    pub(crate) ephemeral: bool,
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// `sidecar`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell sidecar --backend nats                for the agents of this machine, NATS at 127.0.0.1:4222
  handbell sidecar --config handbell.yaml --listen 127.0.0.1:0 --admin 127.0.0.1:0
                                                 free ports, told in one JSON line on stdout

The embedded log belongs to one process: on it, use handbell dev.")]
pub(crate) struct SidecarArgs {
    #[command(flatten)]
    pub(crate) run: RunFlags,
}
