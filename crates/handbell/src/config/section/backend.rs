//! `backend`: where events are stored.

use std::path::PathBuf;

use handbell_backend::PartitionCount;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Size, nats::Nats};

/// Where events are stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Backend {
    /// Which backend.
    pub(crate) kind: BackendKind,
    /// How many partitions the namespace has: 1 to 1024. Stored at the first
    /// start and refused if changed.
    #[schemars(with = "u16", range(min = 1, max = 1024))]
    pub(crate) partitions: PartitionCount,
    /// The log inside this process.
    pub(crate) embedded: Embedded,
    /// NATS JetStream.
    pub(crate) nats: Nats,
}

/// A backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BackendKind {
    /// A log inside this process, in a directory that it owns.
    #[default]
    Embedded,
    /// NATS JetStream, which several processes share.
    Nats,
}

/// The log inside this process.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Embedded {
    /// The directory of the log, owned by one process; by default `handbell`
    /// in the user's data folder.
    #[schemars(with = "Option<String>")]
    pub(crate) dir: Option<PathBuf>,
    /// Keep the log in memory only: it ends with the process.
    pub(crate) ephemeral: bool,
    /// The largest size of the log, 16MiB and more: when it is reached,
    /// publishing is refused as on a full disk. Without it the disk is the limit.
    pub(crate) max_size: Option<Size>,
}
