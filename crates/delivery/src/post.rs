//! A consumer's letterbox, and events on their way to it.

use std::sync::Arc;

use crate::{ConsumerEvent, ConsumerKey, Mailbox};

/// Where a consumer's events go.
#[derive(Clone, Debug)]
pub(crate) struct Post(Arc<(Mailbox, ConsumerKey)>);

impl Post {
    pub(crate) fn new(mailbox: Mailbox, key: ConsumerKey) -> Self {
        Self(Arc::new((mailbox, key)))
    }

    pub(crate) fn push(&self, events: impl IntoIterator<Item = ConsumerEvent>) {
        self.0.0.push(self.0.1, events);
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Events that a core has decided and its shell leaves in the letterboxes:
/// neighbours for one consumer with one wake-up.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Vec<(Post, ConsumerEvent)>);

impl Outbox {
    pub(crate) fn add(&mut self, post: &Post, event: ConsumerEvent) {
        self.0.push((post.clone(), event));
    }

    pub(crate) fn flush(&mut self) {
        let mut events = self.0.drain(..).peekable();
        while let Some((post, event)) = events.next() {
            let mut run = vec![event];
            while let Some((_, event)) = events.next_if(|(next, _)| next.same(&post)) {
                run.push(event);
            }
            post.push(run);
        }
    }

    #[cfg(test)]
    pub(crate) fn take(&mut self) -> Vec<ConsumerEvent> {
        self.0.drain(..).map(|(_, event)| event).collect()
    }
}
