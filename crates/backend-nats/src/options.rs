//! What a namespace on NATS is opened with.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use handbell_backend::{Class, PartitionCount};
use handbell_protocol::{Namespace, Topic, TopicPattern};

/// How long inboxes keep their records, unless a rule says otherwise.
pub(crate) const INBOX_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What a namespace on NATS is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers: `nats://HOST:PORT`, or `tls://HOST:PORT` where only an
    /// encrypted connection will do.
    pub urls: Vec<String>,
    /// The namespace.
    pub namespace: Namespace,
    /// How many servers keep each record: 1, 3 or 5.
    pub replicas: usize,
    /// How many partitions the namespace has; stored with the streams at first
    /// start and refused if changed.
    pub partitions: PartitionCount,
    /// How long the broker recognises what was stored before; 2 minutes by default.
    pub duplicate_window: Duration,
    /// What is removed when. The first rule that matches a topic counts; topics
    /// without a rule are kept for ever, inboxes for 7 days. Dead letters and
    /// the retry channel are never trimmed.
    pub retention: Vec<Retention>,
    /// The topics that are stored under their own names only, with outside
    /// clients.
    pub shared: BTreeSet<Topic>,
    /// Who we are.
    pub credentials: Credentials,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// How long to wait for an answer of the broker before a publish is in
    /// doubt; 5 s by default.
    pub timeout: Duration,
    /// How long to try to reach a server at first; `None`: for ever.
    pub patience: Option<Duration>,
}

impl Options {
    /// A namespace on these servers, otherwise as by default: one replica, 32
    /// partitions, no credentials, encrypted where a URL says `tls`.
    #[must_use]
    pub fn new(urls: Vec<String>, namespace: Namespace) -> Self {
        Self {
            urls,
            namespace,
            replicas: 1,
            partitions: PartitionCount::default(),
            duplicate_window: Duration::from_secs(120),
            retention: Vec::new(),
            shared: BTreeSet::new(),
            credentials: Credentials::None,
            tls: Tls::default(),
            timeout: Duration::from_secs(5),
            patience: None,
        }
    }

    /// How long a record of a topic is kept; `None`: for ever.
    pub(crate) fn age(&self, class: Class, topic: &Topic) -> Option<Duration> {
        if matches!(class, Class::Dlq | Class::Retry | Class::Members) {
            return None;
        }
        let class = if class == Class::Shared { Class::Ev } else { class };
        match (self.retention.iter().find(|rule| rule.class == class && rule.topics.matches(topic)), class) {
            (Some(rule), _) => rule.age,
            (None, Class::Inbox) => Some(INBOX_AGE),
            (None, _) => None,
        }
    }
}

/// Who we are to the broker. What is named is read when the connection is
/// made; nothing is tried without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// The token in this file.
    Token(PathBuf),
    /// The NKey whose seed is in this file.
    Nkey(PathBuf),
    /// The JWT and seed in this file, as `nsc` writes it (`.creds`).
    Jwt(PathBuf),
}

/// How the connection is encrypted. The server's name is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Only an encrypted connection will do, whatever the URL says.
    pub required: bool,
    /// Certificates (PEM) to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key (PEM).
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Whether an unencrypted connection must be refused.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.required || self.ca.is_some() || self.certificate.is_some()
    }
}

/// How long some topics are kept. A bound by size is none that this broker
/// can keep for each topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The class that the rule is for: events or inboxes.
    pub class: Class,
    /// The topics that it is for.
    pub topics: TopicPattern,
    /// Records older than this are removed, in whole seconds. `None`: never.
    pub age: Option<Duration>,
}
