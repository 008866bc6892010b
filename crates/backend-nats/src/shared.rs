//! The streams of shared topics: whoever else uses the topic may have made one
//! already; then it is used as it is.

use std::{collections::BTreeMap, sync::Arc};

use handbell_backend::Class;
use handbell_protocol::Topic;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ack::Asker,
    api::{Object, StreamInfo},
    ensure::{common, differs, nanoseconds, not_had, one},
    error::{OpenError, Trouble},
    layout,
    options::Options,
    stream::Stream,
};

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    streams: Option<Vec<String>>,
}

/// Finds or makes the stream of each shared topic.
pub(crate) async fn ensure(asker: &Asker, options: &Options) -> Result<BTreeMap<Topic, Arc<Stream>>, OpenError> {
    let mut shared = BTreeMap::new();
    for topic in &options.shared {
        shared.insert(topic.clone(), Arc::new(of_topic(asker, options, topic).await?));
    }
    Ok(shared)
}

async fn of_topic(asker: &Asker, options: &Options, topic: &Topic) -> Result<Stream, OpenError> {
    let ours = layout::shared(topic);
    let failed = |trouble: Trouble| not_had(&ours, &trouble);
    let body = json!({ "subject": topic.as_str() });
    let found: Names = asker.call("STREAM.NAMES", &body).await.map_err(failed)?;
    let names = found.streams.unwrap_or_default();
    match &names[..] {
        [] => made(asker, options, topic, &ours).await,
        [name] if **name == *ours => made(asker, options, topic, &ours).await,
        [name] if !name.starts_with("hb-") && !name.starts_with("KV_") => foreign(asker, topic, name).await,
        [name, ..] => Err(OpenError::Stream {
            stream: name.clone(),
            why: format!("it has the subject {topic}, which is declared as shared; choose another topic"),
        }),
    }
}

/// One that Handbell makes: like the streams of classes, but with the topic's
/// age for all messages, since outside clients give none a lifetime.
async fn made(asker: &Asker, options: &Options, topic: &Topic, name: &Arc<str>) -> Result<Stream, OpenError> {
    let mut config = common(options, name, topic.to_string());
    // Installations that differ in their partitions may share a topic.
    config.insert("metadata".into(), json!({ "handbell.layout": layout::LAYOUT }));
    let age = options.age(Class::Shared, topic).unwrap_or_default();
    config.insert("max_age".into(), nanoseconds(age));
    config.insert("duplicate_window".into(), nanoseconds(options.duplicate_window.min(window(age))));
    config.insert("allow_msg_ttl".into(), true.into());
    let info = one(asker, name, &config).await?;
    Ok(Stream::of_topic(Arc::clone(name), topic.clone(), &info))
}

/// A stream recognises repeats no longer than it keeps anything.
fn window(age: std::time::Duration) -> std::time::Duration {
    if age.is_zero() { std::time::Duration::MAX } else { age }
}

/// One that is there under another name: it must keep what is read.
async fn foreign(asker: &Asker, topic: &Topic, name: &str) -> Result<Stream, OpenError> {
    let info: StreamInfo = asker.stream_info(name).await.map_err(|trouble| not_had(name, &trouble))?;
    suits(name, &info.config, &asker.client().server_info().version)?;
    Ok(Stream::of_topic(name.into(), topic.clone(), &info))
}

/// Where reading removes messages, what an outside client reads would be
/// missing here, and the other way round.
fn suits(name: &str, config: &Object, version: &str) -> Result<(), OpenError> {
    let asked = Value::from("limits");
    match config.get("retention") {
        None => Ok(()),
        Some(found) if *found == asked => Ok(()),
        found => Err(differs(name, "retention", &asked, found, version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_forgets_what_was_read_is_refused() {
        let config = |retention: &str| Object::from_iter([("retention".to_owned(), retention.into())]);
        suits("s", &config("limits"), "2.15.1").unwrap();
        let error = suits("s", &config("workqueue"), "2.15.1").unwrap_err();
        assert!(error.to_string().contains("retention = \"workqueue\""), "{error}");
    }
}
