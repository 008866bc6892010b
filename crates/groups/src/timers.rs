//! What is due when.

use std::{cmp::Reverse, collections::BinaryHeap};

use handbell_protocol::Timestamp;

/// Deadlines by time. Nothing is taken out before it is due: whoever takes one
/// checks that it still means something.
#[derive(Debug)]
pub(crate) struct Timers<T>(BinaryHeap<Reverse<(Timestamp, T)>>);

impl<T: Ord + Copy> Timers<T> {
    pub(crate) fn set(&mut self, at: Timestamp, what: T) {
        self.0.push(Reverse((at, what)));
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(Timestamp, T)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(Timestamp, T) -> bool) {
        self.0.retain(|Reverse((at, what))| keep(*at, *what));
    }
}

impl<T: Ord> Default for Timers<T> {
    fn default() -> Self {
        Self(BinaryHeap::new())
    }
}
