//! `admin`: where operators look.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Listen;

/// Where operators look: page, API, probes, metrics.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// Where: `IP:PORT` (port 0: any free one). Wider than loopback only with
    /// `admin.tokens_file`.
    pub(crate) listen: Listen,
    /// A file with one `ROLE TOKEN [NAME]` a line; the roles are `viewer`
    /// (reads) and `operator` (also acts). Without it every local process is
    /// an operator.
    #[schemars(with = "Option<String>")]
    pub(crate) tokens_file: Option<PathBuf>,
    /// Origins of web pages that may use the API, besides its own page.
    pub(crate) origins: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Listen::Tcp(([127, 0, 0, 1], 7711).into()), tokens_file: None, origins: Vec::new() }
    }
}
