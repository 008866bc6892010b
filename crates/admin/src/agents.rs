//! `GET /agents`: who is attached now.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use handbell_delivery::View;
use handbell_protocol::{AgentName, Segment};
use serde::Serialize;

use crate::{
    app::Shared,
    page::{Page, Paging},
    params::Params,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct AgentView {
    agent: AgentName,
    pools: BTreeSet<Segment>,
    capabilities: BTreeSet<Segment>,
    /// How many connections share its name.
    sessions: u32,
    /// The members (sidecars) that they are attached to.
    members: BTreeSet<String>,
}

pub(crate) async fn list(State(app): Shared, Params(paging): Params<Paging>) -> Result<Json<Page<AgentView>>, Problem> {
    let agents = all(&app.options.member.view());
    Ok(Json(paging.of(agents, |agent| agent.agent.to_string())?))
}

/// One row for each name, over all members.
pub(crate) fn all(view: &View) -> Vec<AgentView> {
    let mut agents: BTreeMap<AgentName, AgentView> = BTreeMap::new();
    for (member, presence) in view.agents() {
        let agent = agents.entry(presence.agent.clone()).or_insert_with(|| AgentView {
            agent: presence.agent.clone(),
            pools: BTreeSet::new(),
            capabilities: BTreeSet::new(),
            sessions: 0,
            members: BTreeSet::new(),
        });
        agent.pools.extend(presence.pools.iter().cloned());
        agent.capabilities.extend(presence.capabilities.iter().cloned());
        agent.sessions += presence.sessions;
        agent.members.insert(member.to_string());
    }
    agents.into_values().collect()
}

impl AgentView {
    pub(crate) fn sessions(&self) -> u32 {
        self.sessions
    }
}
