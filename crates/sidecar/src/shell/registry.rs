//! The sessions of this sidecar, by ID.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
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
    /// The sessions of each agent.
    of_agent: HashMap<AgentName, Vec<String>>,
    /// What is told of each agent.
    present: BTreeMap<AgentName, Arc<Presence>>,
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

impl Sessions {
    /// Tells `tell` who is there, where that differs for `agent` now. Within
    /// the lock, so that a later change is told later.
    fn tell(&mut self, agent: &AgentName, tell: impl FnOnce(Vec<Arc<Presence>>)) {
        match self.of_agent.get(agent).filter(|sessions| !sessions.is_empty()) {
            Some(sessions) => {
                let entries = sessions.iter().filter_map(|session| self.all.get(session));
                self.present.insert(agent.clone(), Arc::new(presence(agent, entries)));
            }
            None => {
                self.of_agent.remove(agent);
                self.present.remove(agent);
            }
        }
        tell(self.present.values().cloned().collect());
    }
}

impl Registry {
    fn locked(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session begins; `tell` hears who is there now.
    pub(super) fn add(&self, session: String, entry: Entry, tell: impl FnOnce(Vec<Arc<Presence>>)) {
        let mut sessions = self.locked();
        let agent = entry.agent.clone();
        sessions.of_agent.entry(agent.clone()).or_default().push(session.clone());
        sessions.all.insert(session, entry);
        sessions.tell(&agent, tell);
    }

    /// A session has ended; `tell` hears who is there now.
    pub(super) fn remove(&self, session: &str, tell: impl FnOnce(Vec<Arc<Presence>>)) {
        let mut sessions = self.locked();
        sessions.waits_no_more(session);
        let Some(Entry { agent, .. }) = sessions.all.remove(session) else { return };
        if let Some(of_agent) = sessions.of_agent.get_mut(&agent) {
            of_agent.retain(|other| other != session);
        }
        sessions.tell(&agent, tell);
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
}

fn presence<'a>(agent: &AgentName, entries: impl Iterator<Item = &'a Entry>) -> Presence {
    let mut presence = Presence { agent: agent.clone(), pools: Vec::new(), capabilities: Vec::new(), sessions: 0 };
    for entry in entries {
        presence.sessions += 1;
        merge(&mut presence.pools, &entry.pools);
        merge(&mut presence.capabilities, &entry.capabilities);
    }
    presence
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
    fn an_agent_is_told_once_with_all_that_its_sessions_bring() {
        let registry = Registry::default();
        let pool = |name: &str| vec![Segment::parse(name).unwrap()];
        let told = std::cell::RefCell::new(Vec::new());
        let hear = |agents: Vec<Arc<Presence>>| {
            *told.borrow_mut() = agents.iter().map(|a| (a.agent.to_string(), a.sessions, a.pools.len())).collect();
        };
        registry.add("a1".into(), Entry { pools: pool("x"), ..entry("/a") }, hear);
        registry.add("b".into(), entry("/b"), hear);
        registry.add("a2".into(), Entry { pools: pool("y"), ..entry("/a") }, hear);
        assert_eq!(*told.borrow(), [("/a".to_owned(), 2, 2), ("/b".to_owned(), 1, 0)]);
        registry.remove("a1", hear);
        assert_eq!(*told.borrow(), [("/a".to_owned(), 1, 1), ("/b".to_owned(), 1, 0)]);
        registry.remove("a2", hear);
        assert_eq!(*told.borrow(), [("/b".to_owned(), 1, 0)]);
    }

    #[test]
    fn the_one_that_has_waited_longest_is_given_up() {
        let registry = Registry::default();
        for name in ["a", "b", "c", "d"] {
            registry.add(name.into(), entry(&format!("/{name}")), drop);
        }
        assert!(registry.waits("a", 2).is_none() && registry.waits("b", 2).is_none());
        registry.is_back("a");
        assert!(registry.waits("c", 2).is_none());
        assert_eq!(registry.waits("a", 2).map(|entry| entry.agent.to_string()).as_deref(), Some("/b"));
        registry.remove("c", drop);
        assert!(registry.waits("d", 2).is_none());
    }
}
