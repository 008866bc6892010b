//! `GET /overview`: the whole at a glance.

use axum::{Json, extract::State};
use handbell_backend::Class;
use serde::Serialize;

use crate::{
    agents,
    app::{App, Shared},
    health::{self, SidecarHealth},
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    version: &'static str,
    namespace: String,
    backend: BackendView,
    sidecars: Vec<SidecarHealth>,
    topics: usize,
    /// Events that are kept, on all topics.
    events: u64,
    bytes: u64,
    agents: usize,
    sessions: u32,
    groups: usize,
    /// Events that groups have not passed, where the backend tells.
    lag: u64,
    dead_letters: u64,
}

#[derive(Debug, Serialize)]
struct BackendView {
    kind: &'static str,
    durability: String,
    partitions: u16,
    max_event: usize,
}

impl Overview {
    /// What the page shows of it.
    pub(crate) fn rows(&self) -> [(&'static str, String); 8] {
        [
            ("version", self.version.to_owned()),
            ("namespace", self.namespace.clone()),
            ("stored", self.backend.durability.clone()),
            ("topics", self.topics.to_string()),
            ("events", self.events.to_string()),
            ("agents", self.agents.to_string()),
            ("groups", self.groups.to_string()),
            ("dead letters", self.dead_letters.to_string()),
        ]
    }
}

pub(crate) async fn get(State(app): Shared) -> Result<Json<Overview>, Problem> {
    look(&app).await.map(Json)
}

/// Counts what there is now.
pub(crate) async fn look(app: &App) -> Result<Overview, Problem> {
    let backend = &app.options.backend;
    let topics = backend.topics(Class::Ev).await?;
    let dead = backend.topics(Class::Dlq).await?;
    let groups = app.options.member.groups().await?;
    let agents = agents::all(&app.options.member.view());
    let can = backend.capabilities();
    Ok(Overview {
        version: app.options.version,
        namespace: backend.namespace().to_string(),
        backend: BackendView {
            kind: can.name,
            durability: can.durability.clone(),
            partitions: can.partitions.get(),
            max_event: can.max_event,
        },
        sidecars: health::sidecars(app),
        topics: topics.len(),
        events: topics.iter().map(|topic| topic.records).sum(),
        bytes: topics.iter().map(|topic| topic.bytes).sum(),
        agents: agents.len(),
        sessions: agents.iter().map(agents::AgentView::sessions).sum(),
        groups: groups.len(),
        lag: groups.iter().filter_map(|group| group.lag).sum(),
        dead_letters: dead.iter().map(|topic| topic.records).sum(),
    })
}
