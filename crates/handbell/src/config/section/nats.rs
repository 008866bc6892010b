//! `backend.nats`: how NATS JetStream is reached and used.

use std::{path::PathBuf, time::Duration};

use handbell_protocol::time::duration_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// NATS JetStream. Servers of version 2.12 or newer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Nats {
    /// The servers, joined by `,`: `nats://HOST:PORT`, or `tls://HOST:PORT`
    /// where only an encrypted connection will do.
    pub(crate) url: String,
    /// How many servers keep each record: 1, 3 or 5. Refused if the streams
    /// that are there have another number.
    #[schemars(range(min = 1, max = 5))]
    pub(crate) replicas: usize,
    /// How long the broker recognises what was published before; 1s to 1h.
    /// Costs it about 200 bytes for each event of that time.
    #[serde(with = "duration_text")]
    #[schemars(with = "String")]
    pub(crate) duplicate_window: Duration,
    /// A file with a token.
    #[schemars(with = "Option<String>")]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with the seed of an NKey.
    #[schemars(with = "Option<String>")]
    pub(crate) nkey_file: Option<PathBuf>,
    /// A file with a JWT and its seed, as `nsc` writes it (`.creds`).
    #[schemars(with = "Option<String>")]
    pub(crate) credentials_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's. With it only an
    /// encrypted connection will do.
    #[schemars(with = "Option<String>")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Our own certificate (PEM), with `key_file`.
    #[schemars(with = "Option<String>")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    #[schemars(with = "Option<String>")]
    pub(crate) key_file: Option<PathBuf>,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".into(),
            replicas: 1,
            duplicate_window: Duration::from_secs(120),
            token_file: None,
            nkey_file: None,
            credentials_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

impl Nats {
    /// The servers one by one.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(str::trim).filter(|url| !url.is_empty())
    }

    /// Every file that is named, with its key.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let files = [
            ("backend.nats.token_file", &self.token_file),
            ("backend.nats.nkey_file", &self.nkey_file),
            ("backend.nats.credentials_file", &self.credentials_file),
            ("backend.nats.ca_file", &self.ca_file),
            ("backend.nats.certificate_file", &self.certificate_file),
            ("backend.nats.key_file", &self.key_file),
        ];
        files.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?)))
    }
}
