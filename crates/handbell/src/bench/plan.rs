//! What is measured, how often and with what.

use std::path::PathBuf;

use crate::{
    cli::{BenchArgs, BenchPart},
    failure::Failure,
    reach::{Place, read_token},
};

/// The plan of one run.
pub(super) struct Plan {
    /// In this order.
    pub(super) parts: Vec<BenchPart>,
    /// The payloads' sizes, in bytes.
    pub(super) sizes: Vec<usize>,
    pub(super) rounds: usize,
    /// How long a round should take, about.
    pub(super) seconds: f64,
    /// Where temporary directories are made.
    pub(super) dir: PathBuf,
    /// Settings of the bench's own sidecars, as for `--set`.
    pub(super) set: Vec<String>,
    /// A sidecar that runs, if that is to be measured.
    pub(super) running: Option<Place>,
    /// Tells this run's topics, groups and agents from those of others.
    pub(super) run: String,
    pub(super) connections: usize,
}

/// The rounds of a full run: enough for a median.
const ROUNDS: usize = 5;

impl Plan {
    pub(super) fn of(args: &BenchArgs, set: &[String]) -> Result<Self, Failure> {
        let running = match (&args.url, &args.token_file) {
            (None, _) => None,
            (Some(url), token) => {
                let token = token.clone().map(|path| read_token(path, "--token-file")).transpose()?;
                Some(Place { url: url.clone(), named_by: "--url".into(), token })
            }
        };
        let mut parts = if args.only.is_empty() { BenchPart::ALL.to_vec() } else { args.only.clone() };
        parts.dedup();
        let full = if args.quick { 1 } else { ROUNDS };
        Ok(Self {
            parts,
            sizes: if args.size.is_empty() {
                vec![256, 1_024]
            } else {
                args.size.iter().map(|size| *size as usize).collect()
            },
            rounds: args.rounds.map_or(full, usize::from),
            seconds: if args.quick { 0.25 } else { 0.5 },
            dir: args.dir.clone().unwrap_or_else(std::env::temp_dir),
            set: set.to_vec(),
            running,
            run: format!("{:x}", std::process::id()),
            connections: args.connections.into(),
        })
    }

    /// The size for parts that have one only.
    pub(super) fn size(&self) -> usize {
        self.sizes.first().copied().unwrap_or(256)
    }
}
