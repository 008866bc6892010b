//! The streams, made and checked: what a server has silently dropped or has
//! otherwise than asked for stops the start.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use handbell_backend::Class;
use handbell_protocol::Lane;
use serde_json::{Value, json};

use crate::{
    ack::Asker,
    api::{Object, StreamInfo},
    error::{NAME_IN_USE, OpenError, Trouble},
    layout::{LAYOUT, Layout},
    options::Options,
    stream::Stream,
};

/// The oldest server that keeps all settings.
const NEEDED: &str = "2.12";
/// How long heartbeats and signals between members are kept.
const MEMBERS_AGE: Duration = Duration::from_secs(60);
/// How long a note of a record that was given back is kept after its last change.
pub(crate) const PARTITIONS: &str = "handbell.partitions";

/// Checks the server, then makes what isn't there and checks what is.
pub(crate) async fn ensure(
    asker: &Asker,
    layout: &Layout,
    options: &Options,
) -> Result<HashMap<(Class, Lane), Arc<Stream>>, OpenError> {
    check_server(asker)?;
    let pairs = Class::LANED.into_iter().flat_map(|class| Lane::ALL.map(|lane| (class, lane)));
    let streams = pairs.map(|(class, lane)| async move {
        let name = layout.stream(class, lane);
        let info = one(asker, &name, &records(layout, options, class, lane)).await?;
        Ok(((class, lane), Arc::new(Stream::of_class(layout, class, lane, &info))))
    });
    let streams = try_join_all(streams).await?;
    one(asker, &layout.cells(), &cells(layout, options)).await?;
    one(asker, &layout.queue_notes(), &notes(layout, options)).await?;
    Ok(streams.into_iter().collect())
}

pub(crate) fn check_server(asker: &Asker) -> Result<(), OpenError> {
    let found = asker.client().server_info().version;
    let number = |part: Option<&str>| part.and_then(|part| part.parse().ok()).unwrap_or(0_u32);
    let mut parts = found.split(['.', '-']);
    match (number(parts.next()), number(parts.next())) >= (2, 12) {
        true => Ok(()),
        false => Err(OpenError::Version { found, needed: NEEDED }),
    }
}

/// The stream of a class and lane.
pub(crate) fn records(layout: &Layout, options: &Options, class: Class, lane: Lane) -> Object {
    let members = class == Class::Members;
    let age = if members { MEMBERS_AGE } else { Duration::ZERO };
    let window = if members { options.duplicate_window.min(MEMBERS_AGE) } else { options.duplicate_window };
    let mut config = common(options, &layout.stream(class, lane), format!("{}>", layout.prefix(class, lane)));
    config.insert("storage".into(), if members { "memory" } else { "file" }.into());
    config.insert("max_age".into(), nanoseconds(age));
    config.insert("duplicate_window".into(), nanoseconds(window));
    config.insert("allow_msg_ttl".into(), (!members).into());
    config
}

/// The bucket of the cells, as the `nats` tool would make it, but never read
/// from a follower: that could show an older value.
fn cells(layout: &Layout, options: &Options) -> Object {
    let mut config = common(options, &layout.cells(), format!("{}>", layout.cell_prefix()));
    config.insert("max_msgs_per_subject".into(), 1.into());
    config.insert("allow_rollup_hdrs".into(), true.into());
    config
}

/// What is known of records that were given back to their queues: the newest
/// note of each.
fn notes(layout: &Layout, options: &Options) -> Object {
    let mut config = common(options, &layout.queue_notes(), format!("{}>", layout.note_prefix()));
    config.insert("max_msgs_per_subject".into(), 1.into());
    config
}

pub(crate) fn common(options: &Options, name: &str, subjects: String) -> Object {
    let config = json!({
        "name": name,
        "subjects": [subjects],
        "retention": "limits",
        "discard": "old",
        "storage": "file",
        "num_replicas": options.replicas,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "max_msgs_per_subject": -1,
        "max_age": 0,
        "allow_direct": false,
        "metadata": { "handbell.layout": LAYOUT, PARTITIONS: options.partitions.get().to_string() },
    });
    match config {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> Value {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).into()
}

/// Makes a stream unless it is there, and checks that it is as asked for.
pub(crate) async fn one(asker: &Asker, name: &str, asked: &Object) -> Result<StreamInfo, OpenError> {
    let failed = |trouble: Trouble| not_had(name, &trouble);
    let info = match asker.stream_info(name).await {
        Err(trouble) if trouble.is_missing() => match make(asker, name, asked).await {
            Err(Trouble::Api { err_code: NAME_IN_USE, .. }) => asker.stream_info(name).await,
            made => made,
        },
        found => found,
    }
    .map_err(failed)?;
    check(name, asked, &info, &asker.client().server_info().version)?;
    Ok(info)
}

async fn make(asker: &Asker, name: &str, asked: &Object) -> Result<StreamInfo, Trouble> {
    asker.call(&format!("STREAM.CREATE.{name}"), asked).await
}

pub(crate) fn not_had(stream: &str, trouble: &Trouble) -> OpenError {
    const JETSTREAM_OFF: [u32; 2] = [10_039, 10_076];
    let why = trouble.to_string();
    match trouble {
        Trouble::NoResponders => OpenError::NoJetStream { why },
        Trouble::Api { err_code, .. } if JETSTREAM_OFF.contains(err_code) => OpenError::NoJetStream { why },
        _ => OpenError::Stream { stream: stream.into(), why },
    }
}

/// Each setting that was asked for against what is there.
pub(crate) fn check(stream: &str, asked: &Object, info: &StreamInfo, version: &str) -> Result<(), OpenError> {
    for (setting, asked) in asked {
        let found = info.config.get(setting);
        if setting == "metadata" {
            check_metadata(stream, asked, found, version)?;
        } else if !same(asked, found) {
            return Err(differs(stream, setting, asked, found, version));
        }
    }
    Ok(())
}

fn check_metadata(stream: &str, asked: &Value, found: Option<&Value>, version: &str) -> Result<(), OpenError> {
    let Value::Object(asked) = asked else { return Ok(()) };
    for (key, asked) in asked {
        let found = found.and_then(|found| found.get(key));
        if found == Some(asked) {
            continue;
        }
        return Err(match (key == PARTITIONS, found.and_then(Value::as_str), asked.as_str()) {
            (true, Some(stored), Some(asked)) => {
                OpenError::PartitionsChanged { stored: stored.into(), asked: asked.parse().unwrap_or(0) }
            }
            _ => differs(stream, &format!("metadata.{key}"), asked, found, version),
        });
    }
    Ok(())
}

/// Servers leave out what is false or zero.
fn same(asked: &Value, found: Option<&Value>) -> bool {
    match found {
        Some(found) => asked == found,
        None => matches!(asked, Value::Bool(false)) || asked.as_i64() == Some(0),
    }
}

pub(crate) fn differs(stream: &str, setting: &str, asked: &Value, found: Option<&Value>, version: &str) -> OpenError {
    OpenError::Setting {
        stream: stream.into(),
        setting: setting.into(),
        asked: asked.to_string(),
        found: found.map_or_else(|| "nothing".into(), ToString::to_string),
        version: version.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(config: Value) -> StreamInfo {
        let state = json!({ "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "", "last_seq": 0, "last_ts": "" });
        serde_json::from_value(json!({ "config": config, "created": "2026-01-01T00:00:00Z", "state": state })).unwrap()
    }

    fn asked() -> Object {
        let layout = Layout::new("default".parse().unwrap());
        records(&layout, &Options::new(vec![], "default".parse().unwrap()), Class::Ev, Lane::Regular)
    }

    #[test]
    fn what_a_server_drops_is_named_with_the_servers_version() {
        let mut config = asked();
        config.remove("allow_msg_ttl");
        let error = check("s", &asked(), &info(config.into()), "2.10.1").unwrap_err().to_string();
        assert!(error.contains("allow_msg_ttl = nothing") && error.contains("2.10.1"), "{error}");
    }

    #[test]
    fn zero_and_false_may_be_left_out_and_the_rest_must_be_the_same() {
        let mut config = asked();
        config.remove("max_age");
        config.remove("allow_direct");
        config.insert("allow_atomic".into(), true.into());
        check("s", &asked(), &info(config.clone().into()), "2.15.1").unwrap();
        config.insert("num_replicas".into(), 3.into());
        let error = check("s", &asked(), &info(config.into()), "2.15.1").unwrap_err();
        assert!(matches!(&error, OpenError::Setting { setting, .. } if setting == "num_replicas"), "{error}");
    }

    #[test]
    fn another_number_of_partitions_is_refused() {
        let mut config = asked();
        config.insert("metadata".into(), json!({ "handbell.layout": LAYOUT, PARTITIONS: "8" }));
        let error = check("s", &asked(), &info(config.into()), "2.15.1").unwrap_err();
        assert!(error.to_string().starts_with("the namespace has 8 partitions, 32 are asked for"), "{error}");
    }
}
