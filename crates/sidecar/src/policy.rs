//! What an agent may do: scopes, declared topics and their schemas.
//!
//! Made from the configuration once; a session asks it about each publish and
//! each subscription.

use std::{collections::BTreeMap, fmt, sync::Arc};

use handbell_protocol::{
    AgentName, BadName, Code, Json, Refusal, Segment, Target, Topic, TopicPattern,
    event::{Destination, Envelope},
    frame::{Order, RetryPolicy},
};

/// One entry of a scope: topics, or addresses of direct work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Topics that match.
    Topics(TopicPattern),
    /// One address, such as `/agent`, `pool:builders` or `all`.
    To(Target),
    /// Every agent (`/*`), every pool (`pool:*`) or every capability (`capability:*`).
    Every(&'static str),
}

impl Scope {
    /// Reads an entry as it stands in `agents.scopes`.
    ///
    /// # Errors
    /// When it is neither a pattern nor an address.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        for every in ["/*", "pool:*", "capability:*"] {
            if text == every {
                return Ok(Self::Every(every));
            }
        }
        if text == "all" || text.starts_with('/') || text.contains(':') {
            return Target::parse(text).map(Self::To);
        }
        TopicPattern::parse(text).map(Self::Topics)
    }

    fn covers_target(&self, target: &Target) -> bool {
        match (self, target) {
            (Self::To(allowed), target) => allowed == target,
            (Self::Every("/*"), Target::Agent(_))
            | (Self::Every("pool:*"), Target::Pool(_))
            | (Self::Every("capability:*"), Target::Capability(_)) => true,
            _ => false,
        }
    }

    fn covers_topic(&self, topic: &Topic) -> bool {
        matches!(self, Self::Topics(pattern) if pattern.matches(topic))
    }
}

/// What one agent may publish and subscribe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// Where it may publish.
    pub publish: Vec<Scope>,
    /// What it may subscribe.
    pub subscribe: Vec<Scope>,
}

/// Checks payloads of a declared topic; implemented over JSON Schema.
pub trait PayloadCheck: fmt::Debug + Send + Sync {
    /// What is wrong with the payload of an event of that type, if anything.
    ///
    /// # Errors
    /// `invalid_payload`, naming the place.
    fn check(&self, event_type: &str, payload: &Json) -> Result<(), Refusal>;
}

/// A topic as the configuration declares it.
#[derive(Clone, Debug, Default)]
pub struct DeclaredTopic {
    /// Who may publish; empty: everybody whose scope covers it.
    pub publishers: Vec<AgentName>,
    /// Who may subscribe; empty: everybody whose scope covers it.
    pub subscribers: Vec<AgentName>,
    /// What its payloads must meet.
    pub schema: Option<Arc<dyn PayloadCheck>>,
}

/// A subscription that the configuration declares for an agent, in force at
/// `hello`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredSubscription {
    /// What it reads.
    pub topic: TopicPattern,
    /// Which events of it.
    pub filter: Option<String>,
    /// The durable group; without one it is a fan-out.
    pub group: Option<Segment>,
    /// Whether order is kept.
    pub order: Option<Order>,
    /// Travels in `deliver`, as an instruction to a model.
    pub action: Option<String>,
}

/// All rules of an installation.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// By agent; once there is any entry, agents without one may do nothing.
    pub scopes: BTreeMap<AgentName, Scopes>,
    /// By topic.
    pub topics: BTreeMap<Topic, DeclaredTopic>,
    /// Whether topics that aren't declared are refused with `unknown_topic`.
    pub declared_topics_only: bool,
    /// By agent.
    pub subscriptions: BTreeMap<AgentName, Vec<DeclaredSubscription>>,
    /// How failures are tried again, where a subscription doesn't say.
    pub retry: RetryPolicy,
    /// The answer that stands in for an agent that doesn't give one.
    pub default_replies: BTreeMap<AgentName, Json>,
}

impl Policy {
    /// Whether `agent` may publish there.
    ///
    /// # Errors
    /// `forbidden_topic` or `unknown_topic`.
    pub fn may_publish(&self, agent: &AgentName, destination: &Destination) -> Result<(), Refusal> {
        match destination {
            Destination::To(target) => self.in_scope(
                agent,
                |scopes| &scopes.publish,
                |scope| scope.covers_target(target),
                &format!("publish to {target}"),
            ),
            Destination::Topic(topic) => {
                self.in_scope(
                    agent,
                    |scopes| &scopes.publish,
                    |scope| scope.covers_topic(topic),
                    &format!("publish on {topic}"),
                )?;
                match self.topics.get(topic) {
                    Some(declared) => allowed(&declared.publishers, agent, topic, "publishers"),
                    None if self.declared_topics_only => Err(Refusal::new(
                        Code::UnknownTopic,
                        format!("topic {topic} is not declared; declare it under topics in the configuration"),
                    )),
                    None => Ok(()),
                }
            }
        }
    }

    /// Whether `agent` may subscribe to these topics.
    ///
    /// # Errors
    /// `forbidden_topic`.
    pub fn may_subscribe(&self, agent: &AgentName, topics: &[TopicPattern]) -> Result<(), Refusal> {
        for pattern in topics {
            self.in_scope(
                agent,
                |scopes| &scopes.subscribe,
                |scope| matches!(scope, Scope::Topics(wide) if wide.covers(pattern)),
                &format!("subscribe to {pattern}"),
            )?;
            for (topic, declared) in &self.topics {
                if pattern.matches(topic) {
                    allowed(&declared.subscribers, agent, topic, "subscribers")?;
                }
            }
        }
        Ok(())
    }

    /// Whether the payload meets the schema of its declared topic.
    ///
    /// # Errors
    /// `invalid_payload`, naming the place.
    pub fn check_payload(&self, envelope: &Envelope) -> Result<(), Refusal> {
        let declared = envelope.routing.topic.as_ref().and_then(|topic| self.topics.get(topic));
        match declared.and_then(|declared| declared.schema.as_ref()) {
            Some(schema) => schema.check(&envelope.event.event_type, &envelope.payload),
            None => Ok(()),
        }
    }

    fn in_scope(
        &self,
        agent: &AgentName,
        list: impl Fn(&Scopes) -> &Vec<Scope>,
        covers: impl Fn(&Scope) -> bool,
        what: &str,
    ) -> Result<(), Refusal> {
        if self.scopes.is_empty() {
            return Ok(());
        }
        let covered = self.scopes.get(agent).is_some_and(|scopes| list(scopes).iter().any(covers));
        if covered {
            return Ok(());
        }
        Err(Refusal::new(
            Code::ForbiddenTopic,
            format!("{agent} may not {what}; its scopes (agents.scopes) don't cover it"),
        ))
    }
}

fn allowed(list: &[AgentName], agent: &AgentName, topic: &Topic, what: &str) -> Result<(), Refusal> {
    if list.is_empty() || list.contains(agent) {
        return Ok(());
    }
    Err(Refusal::new(Code::ForbiddenTopic, format!("{agent} is not among the {what} that topic {topic} declares")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentName {
        AgentName::parse(name).unwrap()
    }

    fn topic(name: &str) -> Destination {
        Destination::Topic(Topic::parse(name).unwrap())
    }

    fn scoped() -> Policy {
        let scopes = Scopes {
            publish: ["project.*", "pool:*", "/b"].map(|text| Scope::parse(text).unwrap()).into(),
            subscribe: vec![Scope::parse("project.>").unwrap()],
        };
        Policy { scopes: [(agent("/a"), scopes)].into(), ..Policy::default() }
    }

    #[test]
    fn without_any_scope_everything_is_allowed() {
        let policy = Policy::default();
        policy.may_publish(&agent("/x"), &topic("t")).unwrap();
        policy.may_subscribe(&agent("/x"), &[TopicPattern::parse(">").unwrap()]).unwrap();
    }

    #[test]
    fn once_a_scope_is_declared_everything_else_is_denied() {
        let policy = scoped();
        policy.may_publish(&agent("/a"), &topic("project.x")).unwrap();
        for (who, place) in [("/a", topic("project.x.y")), ("/a", topic("other")), ("/b", topic("project.x"))] {
            assert_eq!(policy.may_publish(&agent(who), &place).unwrap_err().code, Code::ForbiddenTopic);
        }
    }

    #[test]
    fn addresses_are_covered_like_topics() {
        let policy = scoped();
        for (to, allowed) in [("pool:x", true), ("/b", true), ("/c", false), ("capability:x", false), ("all", false)] {
            let to = Destination::To(Target::parse(to).unwrap());
            assert_eq!(policy.may_publish(&agent("/a"), &to).is_ok(), allowed, "{to:?}");
        }
    }

    #[test]
    fn a_subscription_must_lie_wholly_inside_a_scope() {
        let policy = scoped();
        for (pattern, allowed) in [("project.a.b", true), ("project.*", true), ("*.a", false), (">", false)] {
            let pattern = TopicPattern::parse(pattern).unwrap();
            assert_eq!(policy.may_subscribe(&agent("/a"), &[pattern]).is_ok(), allowed);
        }
    }

    #[test]
    fn declared_topics_name_who_may_use_them() {
        let declared = DeclaredTopic { publishers: vec![agent("/a")], subscribers: vec![agent("/b")], schema: None };
        let policy = Policy {
            topics: [(Topic::parse("t").unwrap(), declared)].into(),
            declared_topics_only: true,
            ..Policy::default()
        };
        policy.may_publish(&agent("/a"), &topic("t")).unwrap();
        assert_eq!(policy.may_publish(&agent("/b"), &topic("t")).unwrap_err().code, Code::ForbiddenTopic);
        assert_eq!(policy.may_publish(&agent("/a"), &topic("u")).unwrap_err().code, Code::UnknownTopic);
        let all = [TopicPattern::parse(">").unwrap()];
        assert_eq!(policy.may_subscribe(&agent("/a"), &all).unwrap_err().code, Code::ForbiddenTopic);
        policy.may_subscribe(&agent("/b"), &all).unwrap();
    }
}
