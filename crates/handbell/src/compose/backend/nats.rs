//! Connecting to NATS JetStream.

use std::sync::Arc;

use handbell_backend::{Backend, Class};
use handbell_backend_nats::{Credentials, OpenError, Options, Retention, Tls};
use handbell_protocol::TopicPattern;

use super::Opened;
use crate::{
    config::{
        Config,
        section::{Keep, Nats},
    },
    failure::{Exit, Failure},
};

/// Connects, and makes and checks the namespace's streams.
pub(super) async fn open(config: &Config) -> Result<Opened, Failure> {
    let backend = handbell_backend_nats::open(options(config)).await.map_err(|error| not_opened(&error))?;
    let keys = &config.backend.nats;
    let store = format!("on NATS at {} in namespace {}, replicas: {}", keys.url, config.namespace, keys.replicas);
    tracing::info!(durability = %backend.capabilities().durability, "what is acknowledged");
    Ok(Opened { backend: Arc::new(backend), store })
}

/// Looks at the server: its version, and the durability that is in force.
pub(super) async fn look(config: &Config) -> Result<(String, String), Failure> {
    let looked = handbell_backend_nats::look(options(config)).await.map_err(|error| not_opened(&error))?;
    let what = format!(
        "nats-server {} at {} answers, takes messages of {} bytes",
        looked.version, config.backend.nats.url, looked.max_payload
    );
    Ok((what, looked.durability))
}

fn options(config: &Config) -> Options {
    let keys = &config.backend.nats;
    Options {
        replicas: keys.replicas,
        partitions: config.backend.partitions,
        duplicate_window: keys.duplicate_window,
        retention: retention(config),
        shared: config.topics.iter().filter(|(_, keys)| keys.shared).map(|(topic, _)| topic.clone()).collect(),
        credentials: credentials(keys),
        tls: Tls {
            required: false,
            ca: keys.ca_file.clone(),
            certificate: keys.certificate_file.clone().zip(keys.key_file.clone()),
        },
        ..Options::new(keys.urls().map(str::to_owned).collect(), config.namespace.clone())
    }
}

/// The configuration has at most one of them.
fn credentials(keys: &Nats) -> Credentials {
    let token = keys.token_file.clone().map(Credentials::Token);
    let nkey = keys.nkey_file.clone().map(Credentials::Nkey);
    let jwt = keys.credentials_file.clone().map(Credentials::Jwt);
    token.or(nkey).or(jwt).unwrap_or_default()
}

/// The first rule that matches counts: declared topics, then all others.
fn retention(config: &Config) -> Vec<Retention> {
    let declared = config.topics.iter().filter_map(|(topic, keys)| Some((topic, keys.retention.as_ref()?)));
    let declared = declared.map(|(topic, keep)| rule(Class::Ev, topic.into(), keep));
    let rest = [(Class::Ev, &config.retention.events), (Class::Inbox, &config.retention.inbox)];
    let everything = || TopicPattern::parse(">").expect("it is a pattern");
    declared.chain(rest.map(|(class, keep)| rule(class, everything(), keep))).collect()
}

fn rule(class: Class, topics: TopicPattern, keep: &Keep) -> Retention {
    Retention { class, topics, age: keep.age }
}

/// The backend's words are: what; how.
fn not_opened(error: &OpenError) -> Failure {
    let (place, exit) = match error {
        OpenError::Unreachable { .. } => ("backend.nats.url", Exit::Unreachable),
        OpenError::Unauthorized { .. } | OpenError::File { .. } => ("backend.nats", Exit::Refused),
        OpenError::PartitionsChanged { .. } => ("backend.partitions", Exit::Failed),
        _ => ("backend.nats", Exit::Failed),
    };
    let text = error.to_string();
    let (what, how) = text.split_once("; ").unwrap_or((&text, "see the server's log"));
    Failure { exit, ..Failure::failed(what, place, how) }
}
