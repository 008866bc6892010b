//! What members tell one another, as it stands in the payload.

use std::{collections::BTreeSet, sync::Arc};

use handbell_protocol::{AgentName, Segment, Topic};
use serde::{Deserialize, Serialize};

use super::MemberId;

/// The topics of class Members.
pub(crate) mod topic {
    pub(crate) const HEARTBEAT: &str = "heartbeat";
    pub(crate) const SIGNAL: &str = "signal";
    pub(crate) const HANDOVER: &str = "handover";
}

/// An agent that is attached to a member, or within its resume window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The agent.
    pub agent: AgentName,
    /// Pools whose work it shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Segment>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Segment>,
    /// How many sessions it has there.
    pub sessions: u32,
}

/// Who is attached to a member, in the order of their names, once each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Arc<Presence>>")]
pub struct Agents(Vec<Arc<Presence>>);

impl From<Vec<Arc<Presence>>> for Agents {
    fn from(mut agents: Vec<Arc<Presence>>) -> Self {
        agents.sort_by(|a, b| a.agent.cmp(&b.agent));
        agents.dedup_by(|a, b| a.agent == b.agent);
        Self(agents)
    }
}

impl Agents {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Presence> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Whether that agent is among them.
    #[must_use]
    pub fn contains(&self, agent: &AgentName) -> bool {
        self.0.binary_search_by(|presence| presence.agent.cmp(agent)).is_ok()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// A word to all members, best effort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// What it is about.
    pub kind: String,
    /// What it says.
    pub body: String,
}

/// A member's sign of life: everything about it, each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub member: MemberId,
    /// Grows with each heartbeat, so that a late one changes nothing.
    pub n: u64,
    #[serde(default, skip_serializing_if = "Agents::is_empty")]
    pub agents: Arc<Agents>,
    /// The groups that it has consumers of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<Segment>,
    /// The shared topics that it would forward.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub forwards: BTreeSet<Topic>,
    /// It is there, but takes no new work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// Its last word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

/// A word from one member to another about a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handover {
    pub from: MemberId,
    pub to: MemberId,
    pub group: Segment,
    /// What the group's machine says, as it writes it.
    pub body: String,
}
