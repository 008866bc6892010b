//! Who is there, for sessions: the view of `members`.

use std::{collections::BTreeSet, sync::Arc};

use handbell_delivery::View;
use handbell_protocol::{AgentName, Target};

use crate::session::Directory;

/// A view as sessions ask it.
pub(super) struct ViewDirectory(pub(super) Arc<View>);

impl Directory for ViewDirectory {
    fn is_present(&self, target: &Target) -> bool {
        match target {
            Target::Agent(agent) => self.0.agent_present(agent),
            Target::Pool(pool) => self.0.pool_present(pool),
            Target::Capability(capability) => self.0.capability_present(capability),
            Target::All => true,
        }
    }

    fn agents(&self) -> Vec<AgentName> {
        let names: BTreeSet<&AgentName> = self.0.agents().map(|(_, presence)| &presence.agent).collect();
        names.into_iter().cloned().collect()
    }
}
