//! Direct work: which queues an agent's session takes from.
//!
//! Owns the queues' names and rules: one for each agent, each pool and each
//! capability, and one for the answers to an agent's calls. The handing out is
//! in `lending`; an inbox without sessions keeps its work in the backend.

use std::{sync::Arc, time::Duration};

use handbell_backend::{CellName, Class, QueueSpec, Start};
use handbell_protocol::{Target, Topic, TopicPattern, frame::RetryPolicy};

use crate::{
    DirectSpec, inbox,
    lending::{Kind, QueueOf, Rules},
    sieve::Sieve,
};

/// How long direct work is lent without a sign of life.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// The queues of a session's direct work.
pub(crate) fn queues(who: &DirectSpec, retry: &RetryPolicy) -> Vec<QueueOf> {
    let agent = Target::Agent(who.agent.clone());
    let pools = who.pools.iter().cloned().map(Target::Pool);
    let capabilities = who.capabilities.iter().cloned().map(Target::Capability);
    let targets = [agent].into_iter().chain(pools).chain(capabilities);
    let work = targets.filter_map(|target| {
        let topic = inbox::topic_of(&target)?;
        Some(queue(&topic, &target.to_string(), retry, Kind::Work))
    });
    let replies = queue(&inbox::reply_topic(&who.agent), who.agent.as_str(), retry, Kind::Replies(who.agent.clone()));
    work.chain([replies]).collect()
}

fn queue(topic: &Topic, receiver: &str, retry: &RetryPolicy, kind: Kind) -> QueueOf {
    let segments: Vec<&str> = ["queue", "inbox"].into_iter().chain(topic.as_str().split('.')).collect();
    let spec = QueueSpec {
        name: CellName::of(&segments),
        class: Class::Inbox,
        topics: vec![TopicPattern::from(topic)],
        start: Start::Oldest,
        ack_wait: ACK_WAIT,
    };
    let rules = Rules { receiver: receiver.into(), retry: retry.clone(), ack_wait: ACK_WAIT, kind };
    QueueOf { spec, rules, sieve: Arc::new(Sieve::default()) }
}

#[cfg(test)]
mod tests {
    use handbell_protocol::{AgentName, Segment};

    use super::*;

    #[test]
    fn a_session_takes_from_its_inbox_its_pools_its_capabilities_and_its_answers() {
        let who = DirectSpec {
            agent: AgentName::parse("/team/one").unwrap(),
            producer: "/team/one#n".into(),
            pools: vec![Segment::parse("builders").unwrap()],
            capabilities: vec![Segment::parse("rust").unwrap()],
        };
        let queues = queues(&who, &RetryPolicy::default());
        let names: Vec<&str> = queues.iter().map(|queue| queue.spec.name.as_str()).collect();
        let expected = [
            "queue/inbox/agent/team/one",
            "queue/inbox/pool/builders",
            "queue/inbox/capability/rust",
            "queue/inbox/reply/team/one",
        ];
        assert_eq!(names, expected);
        let receivers: Vec<&str> = queues.iter().map(|queue| &*queue.rules.receiver).collect();
        assert_eq!(receivers, ["/team/one", "pool:builders", "capability:rust", "/team/one"]);
    }
}
