//! Who waits for whom: the records of each key, in their order.
//!
//! A key is a hash of (partition key, lane). Two keys with one hash would wait
//! for one another, which harms nobody's order.

use std::{
    collections::{VecDeque, hash_map::Entry as Slot},
    hash::{DefaultHasher, Hash, Hasher},
};

use handbell_protocol::Lane;

use crate::numbers::NumberMap;

/// The queues of all keys of a partition. Records are named by their index in
/// the window.
#[derive(Debug, Default)]
pub(crate) struct Keys(NumberMap<Queue>);

/// One key's records. The first may be handed out while nothing is out.
#[derive(Debug)]
struct Queue {
    first: u32,
    rest: VecDeque<u32>,
    /// How many at the front come from the retry channel.
    early: usize,
    /// How many are out, here or with another member; more than one only
    /// where the group's order was another before.
    out: u32,
}

/// The key's number.
pub(crate) fn key_of(partition_key: &str, lane: Lane) -> u64 {
    let mut hasher = DefaultHasher::new();
    (partition_key, lane).hash(&mut hasher);
    hasher.finish()
}

impl Keys {
    /// A record of a topic: behind all others of its key.
    pub(crate) fn push(&mut self, key: u64, index: u32) {
        match self.0.entry(key) {
            Slot::Occupied(mut queue) => queue.get_mut().rest.push_back(index),
            Slot::Vacant(slot) => drop(slot.insert(Queue { first: index, rest: VecDeque::new(), early: 0, out: 0 })),
        }
    }

    /// A record of the retry channel: behind the others of it, before those of topics.
    pub(crate) fn push_early(&mut self, key: u64, index: u32) {
        self.push(key, index);
        let Some(queue) = self.0.get_mut(&key) else { return };
        if let Some(last) = queue.rest.pop_back() {
            match queue.early {
                0 => queue.rest.push_front(std::mem::replace(&mut queue.first, last)),
                early => queue.rest.insert(early - 1, last),
            }
        }
        queue.early += 1;
    }

    /// The first record of a key is in the retry channel from now on.
    pub(crate) fn lead(&mut self, key: u64) {
        if let Some(queue) = self.0.get_mut(&key) {
            queue.early = queue.early.max(1);
        }
    }

    /// Whether a record may be handed out.
    pub(crate) fn is_free(&self, key: u64, index: u32) -> bool {
        self.0.get(&key).is_none_or(|queue| queue.first == index && queue.out == 0)
    }

    /// A record of the key is out.
    pub(crate) fn hold(&mut self, key: u64) {
        if let Some(queue) = self.0.get_mut(&key) {
            queue.out += 1;
        }
    }

    /// It is back.
    pub(crate) fn free(&mut self, key: u64) {
        if let Some(queue) = self.0.get_mut(&key) {
            queue.out = queue.out.saturating_sub(1);
        }
    }

    /// The record that is next.
    pub(crate) fn first(&self, key: u64) -> Option<u32> {
        self.0.get(&key).map(|queue| queue.first)
    }

    /// A record is done; tells which is next.
    pub(crate) fn remove(&mut self, key: u64, index: u32) -> Option<u32> {
        let queue = self.0.get_mut(&key)?;
        if queue.first != index {
            let at = queue.rest.iter().position(|one| *one == index)?;
            queue.rest.remove(at);
            queue.early -= usize::from(at + 1 < queue.early);
            return Some(queue.first);
        }
        queue.early = queue.early.saturating_sub(1);
        match queue.rest.pop_front() {
            Some(next) => queue.first = next,
            None => drop(self.0.remove(&key)),
        }
        self.first(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(keys: &mut Keys) -> Vec<u32> {
        std::iter::from_fn(|| {
            let first = keys.first(1)?;
            keys.remove(1, first);
            Some(first)
        })
        .collect()
    }

    #[test]
    fn records_of_the_retry_channel_come_first_each_in_order() {
        let mut keys = Keys::default();
        keys.push(1, 10);
        keys.push(1, 11);
        keys.push_early(1, 1);
        keys.push_early(1, 2);
        keys.push_early(1, 3);
        keys.push(1, 12);
        assert_eq!(drained(&mut keys), [1, 2, 3, 10, 11, 12]);
    }

    #[test]
    fn one_from_the_middle_leaves_the_others_in_order() {
        let mut keys = Keys::default();
        keys.push_early(1, 1);
        keys.push_early(1, 2);
        keys.push(1, 10);
        assert_eq!(keys.remove(1, 2), Some(1));
        keys.push_early(1, 3);
        assert_eq!(drained(&mut keys), [1, 3, 10]);
    }

    #[test]
    fn only_the_first_is_free_and_only_while_nothing_is_out() {
        let mut keys = Keys::default();
        keys.push(1, 10);
        keys.push(1, 11);
        assert!(keys.is_free(1, 10) && !keys.is_free(1, 11));
        keys.hold(1);
        assert!(!keys.is_free(1, 10));
        keys.free(1);
        assert!(keys.is_free(1, 10));
    }

    #[test]
    fn lanes_have_keys_of_their_own() {
        assert_ne!(key_of("a", Lane::Express), key_of("a", Lane::Regular));
    }
}
