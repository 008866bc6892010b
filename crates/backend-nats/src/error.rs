//! How the broker fails, and what the trait's callers are told of it.

use handbell_backend::{BackendError, Fault, PublishError};

/// Why a namespace couldn't be opened. Each says what; how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No server could be reached.
    #[error("no NATS server could be reached at {urls}: {why}; start one, or correct the URL")]
    Unreachable {
        /// The servers that were tried.
        urls: String,
        /// Why, for a person.
        why: String,
    },
    /// The server doesn't let us in.
    #[error("the NATS server at {urls} refuses us: {why}; check the credentials and what they permit")]
    Unauthorized {
        /// The servers that were tried.
        urls: String,
        /// Why, for a person.
        why: String,
    },
    /// The connection can't be encrypted as asked.
    #[error("no encrypted connection to {urls}: {why}; check the certificates and the server's name in the URL")]
    Tls {
        /// The servers that were tried.
        urls: String,
        /// Why, for a person.
        why: String,
    },
    /// A file with credentials can't be used.
    #[error("{path} can't be used: {why}; name a file that can be read")]
    File {
        /// The file.
        path: String,
        /// Why, for a person.
        why: String,
    },
    /// The server is too old.
    #[error("the NATS server is version {found}, Handbell needs {needed}; install a newer one")]
    Version {
        /// The server's version.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// The server has no JetStream.
    #[error("the NATS server has no JetStream for this account ({why}); start it with -js")]
    NoJetStream {
        /// Why, for a person.
        why: String,
    },
    /// A stream isn't as it was asked for.
    #[error(
        "stream {stream} has {setting} = {found} where {asked} is asked for (server {version}); \
        ask for what is there, or change the stream with `nats stream edit`"
    )]
    Setting {
        /// The stream.
        stream: String,
        /// The setting as JetStream names it.
        setting: String,
        /// What was asked for.
        asked: String,
        /// What the server has; `nothing` where it doesn't know the setting.
        found: String,
        /// The server's version.
        version: String,
    },
    /// The number of partitions was another one at first start.
    #[error("the namespace has {stored} partitions, {asked} are asked for; ask for {stored}, they can't be changed")]
    PartitionsChanged {
        /// What is stored.
        stored: String,
        /// What was asked for.
        asked: u16,
    },
    /// A stream can't be made or read.
    #[error("stream {stream} can't be had: {why}; see the server's log")]
    Stream {
        /// The stream.
        stream: String,
        /// Why, for a person.
        why: String,
    },
}

/// How a request to the broker failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the broker didn't answer in time")]
    Timeout,
    #[error("there is no connection to the broker")]
    NotConnected,
    #[error("nobody answers: JetStream, or what was asked for, isn't there now")]
    NoResponders,
    #[error("it can't be sent: {0}")]
    NotSent(String),
    #[error("{description} ({err_code})")]
    Api { code: u16, err_code: u32, description: String },
    #[error("the answer can't be read: {0}")]
    Unreadable(String),
}

impl Trouble {
    /// Whether the broker says that what was asked for doesn't exist.
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self, Self::Api { code: 404, .. })
    }

    /// For a verb that changes nothing.
    pub(crate) fn reading(self, doing: impl Into<String>) -> BackendError {
        let fault = match &self {
            Self::Unreadable(_) => Fault::Corrupt,
            Self::NotSent(_) => Fault::Refused,
            Self::Api { code, .. } if *code < 500 && *code != 404 && *code != 408 => Fault::Refused,
            _ => Fault::Unavailable,
        };
        self.told(fault, doing)
    }

    /// For a verb whose effect may have happened.
    pub(crate) fn writing(self, doing: impl Into<String>) -> BackendError {
        let fault = match &self {
            Self::NotConnected | Self::NoResponders => Fault::Unavailable,
            Self::Timeout | Self::Unreadable(_) => Fault::InDoubt,
            Self::NotSent(_) => Fault::Refused,
            Self::Api { code, .. } if *code < 500 => Fault::Refused,
            Self::Api { .. } => Fault::InDoubt,
        };
        self.told(fault, doing)
    }

    fn told(self, fault: Fault, doing: impl Into<String>) -> BackendError {
        BackendError { fault, doing: doing.into(), why: self.to_string(), source: Some(Box::new(self)) }
    }

    /// For a record.
    pub(crate) fn publishing(self, size: usize) -> PublishError {
        match self {
            Self::NotConnected | Self::NoResponders => PublishError::Unavailable(self.to_string()),
            Self::Timeout | Self::Unreadable(_) => PublishError::InDoubt(self.to_string()),
            Self::NotSent(_) => PublishError::Refused(self.to_string()),
            Self::Api { code, err_code, ref description } => match (code, err_code) {
                (_, MESSAGE_TOO_LARGE) => PublishError::TooLarge { size, max: 0 },
                (_, INSUFFICIENT_RESOURCES | STORAGE_EXCEEDED | STORE_FAILED) => {
                    PublishError::Unavailable(description.clone())
                }
                (_, DUPLICATE_IN_FLIGHT) | (500.., _) => PublishError::InDoubt(self.to_string()),
                _ => PublishError::Refused(self.to_string()),
            },
        }
    }
}

const INSUFFICIENT_RESOURCES: u32 = 10_023;
const STORAGE_EXCEEDED: u32 = 10_047;
const MESSAGE_TOO_LARGE: u32 = 10_054;
const STORE_FAILED: u32 = 10_077;
/// The first of that ID is being stored at this moment.
const DUPLICATE_IN_FLIGHT: u32 = 10_158;
/// Another store of that subject came first, or is on its way.
pub(crate) const WRONG_SEQUENCE: [u32; 2] = [10_071, 10_164];
pub(crate) const NO_MESSAGE: u32 = 10_037;
pub(crate) const NAME_IN_USE: u32 = 10_058;

/// A verb on a closed backend.
pub(crate) fn closed(doing: impl Into<String>) -> BackendError {
    BackendError::new(Fault::Closed, doing, "the backend is closed")
}
