//! What may be handed out at once, over all partitions of this member.
//!
//! A name stands here at most once and may be stale: whoever takes it checks.

use std::collections::VecDeque;

use handbell_protocol::Priority;

use crate::entry::Handle;

#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// By priority, the lowest first; oldest first within one.
    plain: [VecDeque<Handle>; 4],
    /// Those whose consumer was lost.
    lonely: VecDeque<Handle>,
    /// Those whose holder was lost.
    suspects: VecDeque<Handle>,
    /// The suspect whose turn it is, counted and stored.
    turn: VecDeque<Handle>,
}

impl Ready {
    pub(crate) fn push(&mut self, priority: Priority, handle: Handle) {
        self.plain[priority as usize].push_back(handle);
    }

    pub(crate) fn push_lonely(&mut self, handle: Handle) {
        self.lonely.push_back(handle);
    }

    pub(crate) fn push_suspect(&mut self, handle: Handle) {
        self.suspects.push_back(handle);
    }

    pub(crate) fn push_turn(&mut self, handle: Handle) {
        self.turn.push_back(handle);
    }

    /// The highest priority first.
    pub(crate) fn pop(&mut self) -> Option<Handle> {
        self.plain.iter_mut().rev().find_map(VecDeque::pop_front)
    }

    pub(crate) fn pop_lonely(&mut self) -> Option<Handle> {
        self.lonely.pop_front()
    }

    pub(crate) fn pop_suspect(&mut self) -> Option<Handle> {
        self.suspects.pop_front()
    }

    pub(crate) fn pop_turn(&mut self) -> Option<Handle> {
        self.turn.pop_front()
    }

    pub(crate) fn has_plain(&self) -> bool {
        self.plain.iter().any(|queue| !queue.is_empty())
    }

    pub(crate) fn has_lonely(&self) -> bool {
        !self.lonely.is_empty()
    }

    pub(crate) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    pub(crate) fn has_turn(&self) -> bool {
        !self.turn.is_empty()
    }

    /// How many of that priority or a higher one wait for credit.
    pub(crate) fn from(&self, priority: Priority) -> usize {
        self.plain[priority as usize..].iter().map(VecDeque::len).sum()
    }
}
