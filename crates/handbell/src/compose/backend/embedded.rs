//! Opening the embedded log.

use std::path::PathBuf;

use handbell_backend::Class;
use handbell_backend_embedded::{DEFAULT_MAX_EVENT, EmbeddedLog, OpenError, Options, Retention};
use handbell_protocol::TopicPattern;

use super::{super::sidecar::max_event, Opened};
use crate::{
    config::{Config, section::Keep},
    failure::Failure,
    reach::data_folder,
};

/// Opens the log in the directory that the configuration names, or in memory.
pub(super) async fn open(config: &Config) -> Result<Opened, Failure> {
    let keys = &config.backend.embedded;
    let dir = keys.dir.clone().unwrap_or_else(default_dir);
    let (options, store) = match keys.ephemeral {
        true => (Options::memory(), "in memory, until this process ends".to_owned()),
        false => (Options::dir(&dir), format!("in {}", dir.display())),
    };
    let options = Options {
        partitions: config.backend.partitions,
        retention: retention(config),
        max_event: DEFAULT_MAX_EVENT.max(max_event(&config.sidecar)),
        max_bytes: keys.max_size.map(|size| size.0),
        ..options
    };
    // Opening reads what was stored since it was last counted.
    let opened = tokio::task::spawn_blocking(|| EmbeddedLog::open(options)).await;
    let log = opened.expect("opening doesn't panic and isn't cancelled").map_err(|error| not_opened(&error))?;
    Ok(Opened { backend: log.backend(config.namespace.clone()), store })
}

fn default_dir() -> PathBuf {
    data_folder().join("log")
}

/// The first rule that matches counts: declared topics, then all others.
fn retention(config: &Config) -> Vec<Retention> {
    let declared = config.topics.iter().filter_map(|(topic, keys)| Some((topic, keys.retention.as_ref()?)));
    let declared = declared.map(|(topic, keep)| rule(Class::Ev, topic.into(), keep));
    let rest = [(Class::Ev, &config.retention.events), (Class::Inbox, &config.retention.inbox)];
    declared.chain(rest.map(|(class, keep)| rule(class, everything(), keep))).collect()
}

fn rule(class: Class, topics: TopicPattern, keep: &Keep) -> Retention {
    Retention { class, topics, age: keep.age, bytes: keep.size.map(|size| size.0) }
}

fn everything() -> TopicPattern {
    TopicPattern::parse(">").expect("it is a pattern")
}

/// The log's words are: what; how.
fn not_opened(error: &OpenError) -> Failure {
    let place = match error {
        OpenError::PartitionsChanged { .. } => "backend.partitions",
        _ => "backend.embedded.dir (--data)",
    };
    let text = error.to_string();
    let (what, how) = text.split_once("; ").unwrap_or((&text, "see the log"));
    Failure::failed(what, place, how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use handbell_protocol::Topic;

    use crate::config::{Sources, load};

    #[test]
    fn a_declared_topic_keeps_by_its_own_rule_and_all_others_by_the_general_one() {
        let set = vec![r#"topics."a.b".retention.age=2h"#.into(), "retention.inbox.size=1GiB".into()];
        let rules = retention(&load(&Sources { set, ..Sources::default() }).unwrap().config);
        let of = |class: Class, topic: &str| {
            let topic = Topic::parse(topic).unwrap();
            rules.iter().find(|rule| rule.class == class && rule.topics.matches(&topic)).unwrap()
        };
        assert_eq!(of(Class::Ev, "a.b").age.map(|age| age.as_secs()), Some(7_200));
        assert_eq!(of(Class::Ev, "a.c").age.map(|age| age.as_secs()), Some(30 * 86_400));
        assert_eq!(of(Class::Inbox, "agent.x").bytes, Some(1 << 30));
    }
}
