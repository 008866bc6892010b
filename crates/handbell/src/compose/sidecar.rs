//! The sidecar's options out of the configuration.

use handbell_protocol::{AgentName, BadName, Json, trace::TraceIds};
use handbell_sidecar::{
    Limits, Listen as SidecarListen, SidecarOptions, Tokens,
    policy::{DeclaredSubscription, DeclaredTopic, Policy, Scope, Scopes},
};

use super::payloads::schema;
use crate::config::{
    Listen, Loaded, Problem,
    section::{Agents, Scope as ScopeKeys, Sidecar, Subscription, TopicDeclaration},
};

/// How much smaller than a frame the largest event is.
const FRAME_OVERHEAD: usize = 64 << 10;

/// The options of the sidecar that listens at `listen`.
pub(super) fn options(loaded: &Loaded, listen: &Listen) -> Result<SidecarOptions, Problem> {
    let config = &loaded.config;
    let tokens = config.agents.tokens_file.as_deref().map(Tokens::read).transpose();
    let tokens = tokens.map_err(|error| loaded.problem("agents.tokens_file", error.to_string(), "mend the file"))?;
    Ok(SidecarOptions {
        listen: match listen {
            Listen::Tcp(address) => SidecarListen::Tcp(*address),
            Listen::Unix(path) => SidecarListen::Unix(path.clone()),
        },
        limits: limits(&config.sidecar),
        tokens,
        origins: config.sidecar.origins.clone(),
        policy: policy(loaded)?,
        trace: TraceIds::new(&config.telemetry.trace_key),
    })
}

/// The largest event that a frame has room for.
pub(super) fn max_event(sidecar: &Sidecar) -> usize {
    sidecar.max_frame.bytes().saturating_sub(FRAME_OVERHEAD)
}

fn limits(sidecar: &Sidecar) -> Limits {
    Limits {
        max_frame: sidecar.max_frame.bytes(),
        max_event: max_event(sidecar),
        publish_window: sidecar.publish_window,
        max_subscriptions: sidecar.max_subscriptions,
        max_calls: sidecar.max_calls,
        max_connections: sidecar.max_connections,
        max_handshakes: sidecar.max_handshakes,
        max_waiting: sidecar.max_waiting,
        heartbeat: sidecar.heartbeat,
        hello_timeout: sidecar.hello_timeout,
        resume_window: sidecar.resume_window,
        slow_reader: sidecar.stall,
        slow_reader_cut: sidecar.stall_cut,
        max_outbox: sidecar.max_outbox.bytes(),
        max_processing: sidecar.max_processing,
        drain: sidecar.drain,
        read_ahead_events: sidecar.read_ahead,
        read_ahead_bytes: sidecar.read_ahead_bytes.bytes(),
    }
}

fn policy(loaded: &Loaded) -> Result<Policy, Problem> {
    let agents = &loaded.config.agents;
    let topics = loaded.config.topics.iter().map(|(topic, keys)| {
        let declared =
            declared(keys).map_err(|what| loaded.problem("topics", what, "name a file with a JSON Schema"))?;
        Ok((topic.clone(), declared))
    });
    let bad = |bad: BadName| loaded.problem("agents.scopes", bad.to_string(), "write topics, patterns or addresses");
    let scopes = agents.scopes.iter().map(|(agent, keys)| Ok((agent.clone(), scopes(keys).map_err(bad)?)));
    Ok(Policy {
        scopes: scopes.collect::<Result<_, Problem>>()?,
        topics: topics.collect::<Result<_, Problem>>()?,
        declared_topics_only: agents.declared_topics_only,
        subscriptions: subscriptions(agents),
        default_replies: default_replies(agents),
        retry: loaded.config.retry.clone().into(),
    })
}

fn declared(keys: &TopicDeclaration) -> Result<DeclaredTopic, String> {
    Ok(DeclaredTopic {
        publishers: keys.publishers.clone(),
        subscribers: keys.subscribers.clone(),
        schema: keys.schema.as_deref().map(schema).transpose()?,
    })
}

fn scopes(keys: &ScopeKeys) -> Result<Scopes, BadName> {
    let read = |entries: &[String]| entries.iter().map(|entry| Scope::parse(entry)).collect::<Result<Vec<_>, _>>();
    Ok(Scopes { publish: read(&keys.publish)?, subscribe: read(&keys.subscribe)? })
}

fn subscriptions(agents: &Agents) -> std::collections::BTreeMap<AgentName, Vec<DeclaredSubscription>> {
    let each = agents.each.iter().filter(|(_, agent)| !agent.subscriptions.is_empty());
    each.map(|(name, agent)| (name.clone(), agent.subscriptions.iter().map(subscription).collect())).collect()
}

fn subscription(keys: &Subscription) -> DeclaredSubscription {
    DeclaredSubscription {
        topic: keys.topic.clone(),
        filter: keys.filter.clone(),
        group: keys.group.clone(),
        order: keys.order,
        action: keys.action.clone(),
    }
}

fn default_replies(agents: &Agents) -> std::collections::BTreeMap<AgentName, Json> {
    let json = |value: &serde_json::Value| Json::of(value).expect("a JSON value can be written");
    let each = agents.each.iter().filter_map(|(name, agent)| Some((name.clone(), json(agent.default_reply.as_ref()?))));
    each.collect()
}
