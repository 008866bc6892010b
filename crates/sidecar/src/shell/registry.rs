//! The sessions of this sidecar, by ID.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use handbell_delivery::Presence;
use handbell_protocol::{AgentName, Segment};
use tokio::sync::mpsc;

use super::actor::Command;

/// What the sidecar knows of a session.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) agent: AgentName,
    pub(super) pools: Vec<Segment>,
    pub(super) capabilities: Vec<Segment>,
    pub(super) token: Option<Box<str>>,
    pub(super) commands: mpsc::Sender<Command>,
}

/// All sessions, also those within their resume window.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<HashMap<String, Entry>>);

impl Registry {
    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, session: String, entry: Entry) {
        self.locked().insert(session, entry);
    }

    pub(super) fn remove(&self, session: &str) {
        self.locked().remove(session);
    }

    pub(super) fn get(&self, session: &str) -> Option<Entry> {
        self.locked().get(session).cloned()
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.locked().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.locked().len()
    }

    /// Who is attached here, as `members` tells it to the others.
    pub(super) fn presence(&self) -> Vec<Presence> {
        let mut agents: BTreeMap<AgentName, Presence> = BTreeMap::new();
        for entry in self.locked().values() {
            let presence = agents.entry(entry.agent.clone()).or_insert_with(|| Presence {
                agent: entry.agent.clone(),
                pools: Vec::new(),
                capabilities: Vec::new(),
                sessions: 0,
            });
            presence.sessions += 1;
            merge(&mut presence.pools, &entry.pools);
            merge(&mut presence.capabilities, &entry.capabilities);
        }
        agents.into_values().collect()
    }
}

fn merge(into: &mut Vec<Segment>, more: &[Segment]) {
    for segment in more {
        if !into.contains(segment) {
            into.push(segment.clone());
        }
    }
}
