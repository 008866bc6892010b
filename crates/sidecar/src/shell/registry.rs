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
pub(super) struct Registry(Mutex<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    all: HashMap<String, Entry>,
    /// Those without a socket, in the order in which they lost it.
    waiting: BTreeMap<u64, String>,
    turns: HashMap<String, u64>,
    next: u64,
}

impl Sessions {
    fn waits_no_more(&mut self, session: &str) {
        if let Some(turn) = self.turns.remove(session) {
            self.waiting.remove(&turn);
        }
    }
}

impl Registry {
    fn locked(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, session: String, entry: Entry) {
        self.locked().all.insert(session, entry);
    }

    pub(super) fn remove(&self, session: &str) {
        let mut sessions = self.locked();
        sessions.all.remove(session);
        sessions.waits_no_more(session);
    }

    /// The session has lost its socket. Where more than `most` wait, the one
    /// that has waited longest waits no more and is named.
    pub(super) fn waits(&self, session: &str, most: usize) -> Option<Entry> {
        let mut sessions = self.locked();
        sessions.waits_no_more(session);
        let turn = sessions.next;
        sessions.next += 1;
        sessions.waiting.insert(turn, session.to_owned());
        sessions.turns.insert(session.to_owned(), turn);
        if sessions.waiting.len() <= most {
            return None;
        }
        let (_, oldest) = sessions.waiting.pop_first()?;
        sessions.turns.remove(&oldest);
        sessions.all.get(&oldest).cloned()
    }

    /// The session has a socket again.
    pub(super) fn is_back(&self, session: &str) {
        self.locked().waits_no_more(session);
    }

    pub(super) fn get(&self, session: &str) -> Option<Entry> {
        self.locked().all.get(session).cloned()
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.locked().all.values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.locked().all.len()
    }

    /// Who is attached here, as `members` tells it to the others.
    pub(super) fn presence(&self) -> Vec<Presence> {
        let mut agents: BTreeMap<AgentName, Presence> = BTreeMap::new();
        for entry in self.locked().all.values() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(agent: &str) -> Entry {
        let (commands, _) = mpsc::channel(1);
        let agent = AgentName::parse(agent).unwrap();
        Entry { agent, pools: Vec::new(), capabilities: Vec::new(), token: None, commands }
    }

    #[test]
    fn the_one_that_has_waited_longest_is_given_up() {
        let registry = Registry::default();
        for name in ["a", "b", "c", "d"] {
            registry.add(name.into(), entry(&format!("/{name}")));
        }
        assert!(registry.waits("a", 2).is_none() && registry.waits("b", 2).is_none());
        registry.is_back("a");
        assert!(registry.waits("c", 2).is_none());
        assert_eq!(registry.waits("a", 2).map(|entry| entry.agent.to_string()).as_deref(), Some("/b"));
        registry.remove("c");
        assert!(registry.waits("d", 2).is_none());
    }
}
