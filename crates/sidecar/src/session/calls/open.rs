//! The open calls of a session, and which requests were closed last.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hasher as _},
    time::Duration,
};

use handbell_delivery::Delivered;

use super::{Call, Now};

/// So many closed calls are known, so that a late answer isn't taken for a lost one.
const CLOSED: usize = 1_024;

/// The open calls of a session by name, and the requests whose calls were
/// closed last.
#[derive(Debug, Default)]
pub(in crate::session) struct Calls {
    open: BTreeMap<String, Call>,
    /// The names of those open, by their requests' numbers.
    by_seq: BTreeMap<u64, String>,
    /// Digests of their IDs.
    closed: VecDeque<u64>,
}

impl Calls {
    pub(in crate::session) fn next_deadline(&self) -> Option<Duration> {
        self.open.values().map(Call::wakes_at).min()
    }

    /// The calls that are to be looked at now.
    pub(super) fn due(&self, now: Now) -> Vec<String> {
        let due = self.open.values().filter(|call| call.wakes_at() <= now.mono);
        due.map(|call| call.name.clone()).collect()
    }

    /// Whether there is no room for that call.
    pub(in crate::session) fn are_full(&self, call: &Call, most: usize) -> bool {
        self.open.len() >= most && !self.open.contains_key(&call.name)
    }

    /// A call begins; one of the same name is no more.
    pub(super) fn insert(&mut self, call: Call) {
        self.remove(&call.name);
        self.by_seq.insert(call.seq, call.name.clone());
        self.open.insert(call.name.clone(), call);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Call> {
        self.open.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Call> {
        self.open.get_mut(name)
    }

    pub(super) fn of_seq(&mut self, seq: u64) -> Option<&mut Call> {
        self.open.get_mut(self.by_seq.get(&seq)?)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Call> {
        let call = self.open.remove(name)?;
        self.by_seq.remove(&call.seq);
        Some(call)
    }

    /// The request was refused, or is in doubt: then somebody may have answered.
    pub(in crate::session) fn forget(&mut self, seq: u64) -> Option<Delivered> {
        let name = self.by_seq.get(&seq)?.clone();
        self.remove(&name)?.early
    }

    pub(super) fn note_closed(&mut self, request: &str) {
        self.closed.push_back(digest(request));
        if self.closed.len() > CLOSED {
            self.closed.pop_front();
        }
    }

    pub(super) fn was_closed(&self, request: &str) -> bool {
        self.closed.contains(&digest(request))
    }
}

/// Stands for a request's ID, which is longer.
fn digest(request: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(request.as_bytes());
    hasher.finish()
}
