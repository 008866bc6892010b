//! The durable consumers of a queue, one for each lane.

use std::{sync::Arc, time::Duration};

use handbell_backend::{BackendError, QueueSpec};
use handbell_protocol::Lane;
use serde_json::{Value, json};

use crate::{
    api::{ConsumerInfo, Object},
    core::Core,
    error::Trouble,
    filters::Wanted,
    layout,
    starts::Place,
    stream::Stream,
};

/// How many records may be unsettled at a time; more aren't begun.
const MAX_UNSETTLED: u32 = 65_536;
/// How many requests may wait at the server.
const MAX_WAITING: u32 = 4_096;
/// The broker's own wait is that much longer than a lease: as long as a holder
/// lives it ends its leases itself.
const MARGIN: Duration = Duration::from_secs(2);

const NOT_FOUND: u32 = 10_014;

/// Makes the consumer of a lane, or finds it and gives it this spec's wait and
/// topics.
pub(super) async fn ensure(core: &Core, spec: &QueueSpec, lane: Lane, wanted: &Wanted) -> Result<(), BackendError> {
    let told = |trouble: Trouble| trouble.reading(format!("open queue {}", spec.name));
    let (stream, name) = (core.stream(spec.class, lane), layout::consumer(&spec.name));
    match core.asker.consumer_info(&stream.name, &name).await {
        Ok(info) => change(core, spec, &stream.name, info, wanted).await.map_err(told),
        Err(Trouble::Api { err_code: NOT_FOUND, .. }) => {
            let made = make(core, spec, stream, &name, wanted).await;
            match made {
                Ok(()) => Ok(()),
                // Somebody else was faster; where a queue begins is theirs to say.
                Err(trouble) => match core.asker.consumer_info(&stream.name, &name).await {
                    Ok(_) => Ok(()),
                    Err(_) => Err(told(trouble)),
                },
            }
        }
        Err(trouble) => Err(told(trouble)),
    }
}

async fn make(core: &Core, spec: &QueueSpec, stream: &Arc<Stream>, name: &str, wanted: &Wanted) -> Result<(), Trouble> {
    let info = core.look(stream).await?;
    let begin = Place::new(stream, &info).begin(core, &spec.start).await?;
    let mut config = json!({
        "durable_name": name, "name": name, "ack_policy": "explicit", "replay_policy": "instant",
        "ack_wait": wait(spec), "max_deliver": -1, "max_ack_pending": MAX_UNSETTLED, "max_waiting": MAX_WAITING,
        "filter_subjects": wanted.subjects,
    });
    match begin.not_before {
        Some(time) => {
            config["deliver_policy"] = "by_start_time".into();
            config["opt_start_time"] = time.to_string().into();
        }
        None => {
            config["deliver_policy"] = "by_start_sequence".into();
            config["opt_start_seq"] = (begin.after + 1).into();
        }
    }
    call(core, &stream.name, name, &config, "create").await
}

/// Gives a consumer that is there this spec's wait and topics.
async fn change(
    core: &Core,
    spec: &QueueSpec,
    stream: &str,
    info: ConsumerInfo,
    wanted: &Wanted,
) -> Result<(), Trouble> {
    let mut config = info.config;
    if config.get("ack_wait") == Some(&wait(spec)) && filters(&config) == wanted.subjects {
        return Ok(());
    }
    config.insert("ack_wait".into(), wait(spec));
    config.remove("filter_subject");
    config.insert("filter_subjects".into(), wanted.subjects.clone().into());
    call(core, stream, &info.name, &config.into(), "update").await
}

async fn call(core: &Core, stream: &str, name: &str, config: &Value, action: &str) -> Result<(), Trouble> {
    let body = json!({ "stream_name": stream, "config": config, "action": action });
    core.asker.call::<ConsumerInfo>(&format!("CONSUMER.CREATE.{stream}.{name}"), &body).await.map(drop)
}

fn filters(config: &Object) -> Vec<String> {
    let list = config.get("filter_subjects").and_then(Value::as_array);
    let one = config.get("filter_subject").and_then(Value::as_str).filter(|one| !one.is_empty());
    match (list, one) {
        (Some(list), _) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        (None, Some(one)) => vec![one.to_owned()],
        (None, None) => Vec::new(),
    }
}

fn wait(spec: &QueueSpec) -> Value {
    let wait = spec.ack_wait + spec.ack_wait / 10 + MARGIN;
    u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX).into()
}
