//! `routing.to`: whom direct work is for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{AgentName, BadName, Segment};

/// An address: an agent, one member of a pool or with a capability, or all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// `/agent`: that agent, or one of its replicas.
    Agent(AgentName),
    /// `pool:builders`: one agent of the pool.
    Pool(Segment),
    /// `capability:rust`: one agent that has it.
    Capability(Segment),
    /// `all`: each agent name attached now, the sender excepted, once.
    All,
}

impl Target {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    /// [`BadName`] when it has none of the four forms.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(pool) = text.strip_prefix("pool:") {
            return Segment::parse(pool).map(Self::Pool);
        }
        if let Some(capability) = text.strip_prefix("capability:") {
            return Segment::parse(capability).map(Self::Capability);
        }
        if text.starts_with('/') {
            return AgentName::parse(text).map(Self::Agent);
        }
        Err(BadName::new("routing.to", text, "must be /agent, pool:NAME, capability:NAME or all"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(agent) => write!(f, "{agent}"),
            Self::Pool(pool) => write!(f, "pool:{pool}"),
            Self::Capability(capability) => write!(f, "capability:{capability}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms_read_back() {
        for text in ["/backend-architect", "pool:builders", "capability:rust", "all"] {
            assert_eq!(Target::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "pool:", "everyone", "pool:a.b", "/"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
