//! The topics of class Inbox: whose direct work lies where.

use handbell_protocol::{AgentName, Segment, Target, Topic, event::id::base32};

/// The header of a request that names the caller's member, so that the
/// answer finds it there while it lives.
pub const CALLER_MEMBER: &str = "hb-caller-member";

/// The inbox topic of a target; `None` for [`Target::All`], which has none of its own.
#[must_use]
pub fn topic_of(target: &Target) -> Option<Topic> {
    match target {
        Target::Agent(agent) => Some(agent_topic(agent)),
        Target::Pool(pool) => Some(segment_topic("pool", pool)),
        Target::Capability(capability) => Some(segment_topic("capability", capability)),
        Target::All => None,
    }
}

/// Where an agent's own work lies.
#[must_use]
pub fn agent_topic(agent: &AgentName) -> Topic {
    dotted("agent", agent)
}

/// Where answers to an agent's calls lie.
#[must_use]
pub fn reply_topic(agent: &AgentName) -> Topic {
    dotted("reply", agent)
}

fn segment_topic(kind: &str, name: &Segment) -> Topic {
    Topic::parse(&format!("{kind}.{name}")).expect("two segments within 180 bytes are a topic")
}

/// A name too long for a topic lies under its digest, where no other name can lie.
fn dotted(kind: &str, agent: &AgentName) -> Topic {
    let digest = || base32(&blake3::hash(agent.as_str().as_bytes()).as_bytes()[..20]);
    Topic::parse(&format!("{kind}.{}", agent.dotted()))
        .or_else(|_| Topic::parse(&format!("{kind}-long.{}", digest())))
        .expect("a digest under a fixed segment is a topic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_a_topic_of_its_own() {
        let topic = |text| topic_of(&Target::parse(text).unwrap()).unwrap();
        assert_eq!(topic("/team/one").as_str(), "agent.team.one");
        assert_eq!(topic("pool:builders").as_str(), "pool.builders");
        assert_eq!(topic("capability:rust").as_str(), "capability.rust");
        assert!(topic_of(&Target::All).is_none());
        assert_eq!(reply_topic(&AgentName::parse("/a").unwrap()).as_str(), "reply.a");
    }

    #[test]
    fn the_longest_agent_name_has_a_topic() {
        let name = |last: char| AgentName::parse(&format!("/{}/{}{last}", "a".repeat(128), "b".repeat(49))).unwrap();
        assert!(agent_topic(&name('x')).as_str().starts_with("agent-long."));
        assert_ne!(agent_topic(&name('x')), agent_topic(&name('y')));
    }
}
