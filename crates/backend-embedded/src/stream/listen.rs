//! Those who wait for a stream's records: each is woken only for the channels
//! that it reads.

use std::sync::Arc;

use handbell_protocol::{Topic, TopicPattern};
use tokio::sync::Notify;

use super::Stream;

/// What a listener reads, and how it is woken.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Empty: all topics.
    pub(crate) topics: Arc<[TopicPattern]>,
    pub(crate) bell: Bell,
}

/// How a listener is woken.
#[derive(Clone, Debug)]
pub(crate) enum Bell {
    /// One reader: what came while it was busy is remembered.
    One(Arc<Notify>),
    /// All that wait. Who looks and then waits must have asked to be woken
    /// before it looked.
    All(Arc<Notify>),
}

impl Bell {
    pub(crate) fn ring(&self) {
        match self {
            Self::One(notify) => notify.notify_one(),
            Self::All(notify) => notify.notify_waiters(),
        }
    }
}

impl Wanted {
    /// Whether the topic is among those read.
    pub(crate) fn wants(&self, topic: &Topic) -> bool {
        self.topics.is_empty() || self.topics.iter().any(|pattern| pattern.matches(topic))
    }
}

/// A place among a stream's listeners; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Listener {
    stream: Arc<Stream>,
    id: u64,
}

impl Listener {
    /// Joins the listeners of `stream`.
    pub(crate) fn join(stream: &Arc<Stream>, wanted: &Wanted) -> Self {
        let mut state = stream.lock();
        let id = state.next_listener;
        state.next_listener += 1;
        for slot in state.slots.iter_mut().filter(|slot| wanted.wants(&slot.topic)) {
            slot.listeners.push((id, wanted.bell.clone()));
        }
        state.listeners.insert(id, wanted.clone());
        Self { stream: Arc::clone(stream), id }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.stream.lock();
        let Some(wanted) = state.listeners.remove(&self.id) else { return };
        for slot in state.slots.iter_mut().filter(|slot| wanted.wants(&slot.topic)) {
            slot.listeners.retain(|(id, _)| *id != self.id);
        }
    }
}
