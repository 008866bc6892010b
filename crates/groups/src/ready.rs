//! What may be handed out at once, over all partitions of this member.
//!
//! A name stands here at most once and may be stale: whoever takes it checks.

use std::collections::{BTreeMap, VecDeque};

use handbell_protocol::Priority;

use crate::entry::Handle;

#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// By priority, the lowest first; oldest first within one.
    plain: [VecDeque<Handle>; 4],
    /// Those whose consumer was lost.
    lonely: VecDeque<Handle>,
    /// Those whose holder was lost, by their failures and then the oldest
    /// first: what kills its process again and again comes last, after all
    /// that it took with it.
    suspects: BTreeMap<(u32, u64), Handle>,
    /// So many suspects have come.
    suspected: u64,
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

    pub(crate) fn push_suspect(&mut self, failures: u32, handle: Handle) {
        self.suspected += 1;
        self.suspects.insert((failures, self.suspected), handle);
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
        self.suspects.pop_first().map(|(_, handle)| handle)
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

#[cfg(test)]
mod tests {
    use handbell_backend::Partition;

    use super::*;
    use crate::entry::Slot;

    #[test]
    fn of_suspects_the_one_that_has_failed_least_comes_first_and_of_equals_the_oldest() {
        let mut ready = Ready::default();
        let handle = |index| Handle { partition: Partition(0), slot: Slot { index, id: 1 } };
        for (failures, index) in [(2, 0), (0, 1), (1, 2), (0, 3)] {
            ready.push_suspect(failures, handle(index));
        }
        let order = std::iter::from_fn(|| ready.pop_suspect()).map(|handle| handle.slot.index);
        assert_eq!(order.collect::<Vec<_>>(), [1, 3, 2, 0]);
    }
}
