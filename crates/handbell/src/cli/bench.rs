//! What can be typed after `handbell bench`; what is measured, and how, is in `bench/`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell bench                                 everything, in about two minutes
  handbell bench --quick                         everything once and short: does it work, roughly how fast
  handbell bench --only throughput,latency --size 1024 -o json
  handbell bench --set sidecar.read_ahead=4096   the bench's own sidecar with another setting
  handbell bench --url ws://127.0.0.1:7710/v1/ws --only latency

Without --url it starts sidecars of its own on temporary directories and touches no other data;
what the sidecar does is compared with the same log called directly, in alternating rounds.
With --url it drives the one that runs there: its events and groups (topics bench.…) stay in
that log, and nothing is compared with the log itself. Figures are medians of the rounds; -o wide
has more of them.")]
pub(crate) struct BenchArgs {
    /// Only these parts
    #[arg(long, value_name = "PART,…", value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<BenchPart>,
    /// Each part once and short
    #[arg(long)]
    pub(crate) quick: bool,
    /// The payloads' sizes, 40 to 262144 bytes; by default 256 and 1024
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(40..=262_144))]
    pub(crate) size: Vec<u32>,
    /// How many rounds; by default 5, with --quick 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: Option<u16>,
    /// How many connections the part idle opens
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) connections: u16,
    /// Where temporary directories are made; by default the system's folder for such
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(crate) dir: Option<PathBuf>,
    /// A sidecar that runs, to be measured instead of one of the bench's own
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A file that holds the token of --url
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchPart {
    /// Events a second, published, delivered and acknowledged
    Throughput,
    /// How long an event is under way at fixed rates
    Latency,
    /// Round trips of requests, one at a time and many at once
    Request,
    /// One event for many subscribers
    Fanout,
    /// One event for many groups, with order and without
    Groups,
    /// From the start of the process until it is ready
    Start,
    /// What a connection costs that does nothing
    Idle,
}

impl BenchPart {
    /// All of them, in the order in which they run.
    pub(crate) const ALL: [Self; 7] =
        [Self::Throughput, Self::Latency, Self::Request, Self::Fanout, Self::Groups, Self::Start, Self::Idle];
}
