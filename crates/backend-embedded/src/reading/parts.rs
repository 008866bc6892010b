//! The partitions of a reading: where each begins, and how far it is.
//!
//! Most readings begin all partitions at one place, and a queue of one agent
//! meets one of them: so what is the same is kept once.

use std::collections::BTreeMap;

use handbell_backend::{Partition, PartitionCount};

use crate::starts::Begin;

/// What is read.
#[derive(Debug)]
pub(super) struct Parts {
    begins: Begins,
    /// All up to here is accounted for, read or told as missing; not there
    /// while nothing but what lies before its beginning is.
    seen: BTreeMap<u16, u64>,
}

#[derive(Debug)]
enum Begins {
    /// All of so many begin at one place.
    All(u16, Begin),
    /// Some are not read, or they begin at different places.
    Each(Box<[Option<Begin>]>),
}

impl Parts {
    /// Of `count` partitions those that are named; others aren't read.
    pub(super) fn new(count: PartitionCount, begins: Vec<(Partition, Begin)>) -> Self {
        let mut each = vec![None; usize::from(count.get())];
        for (partition, begin) in begins {
            if let Some(part) = each.get_mut(usize::from(partition.0)) {
                *part = Some(begin);
            }
        }
        let begins = match each.first().copied().flatten() {
            Some(first) if each.iter().all(|begin| *begin == Some(first)) => Begins::All(count.get(), first),
            _ => Begins::Each(each.into()),
        };
        Self { begins, seen: BTreeMap::new() }
    }

    /// Where a partition begins, if it is read.
    pub(super) fn begin(&self, partition: Partition) -> Option<Begin> {
        match &self.begins {
            Begins::All(count, begin) => (partition.0 < *count).then_some(*begin),
            Begins::Each(each) => each.get(usize::from(partition.0)).copied().flatten(),
        }
    }

    /// Up to where a partition is accounted for, if it is read.
    pub(super) fn seen(&self, partition: Partition) -> Option<u64> {
        let begin = self.begin(partition)?;
        Some(self.seen.get(&partition.0).copied().unwrap_or(begin.after))
    }

    /// All up to `offset` is accounted for.
    pub(super) fn account(&mut self, partition: Partition, offset: u64) {
        if self.begin(partition).is_some() {
            self.seen.insert(partition.0, offset);
        }
    }

    /// All partitions, also those that aren't read.
    pub(super) fn all(&self) -> impl Iterator<Item = Partition> + use<> {
        let count = match &self.begins {
            Begins::All(count, _) => *count,
            Begins::Each(each) => u16::try_from(each.len()).unwrap_or(u16::MAX),
        };
        (0..count).map(Partition)
    }

    /// Behind which offset each begins.
    pub(super) fn afters(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        self.all().map(|partition| self.begin(partition).map(|begin| begin.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(after: u64) -> Begin {
        Begin { after, not_before: None, oldest: false }
    }

    #[test]
    fn partitions_are_read_from_their_beginning_on_alike_or_not() {
        let count = PartitionCount::new(3).unwrap();
        let alike = Parts::new(count, (0..3).map(|p| (Partition(p), behind(7))).collect());
        assert!(matches!(alike.begins, Begins::All(3, _)));
        let mut some = Parts::new(count, vec![(Partition(0), behind(1)), (Partition(2), behind(2))]);
        assert_eq!(alike.afters().collect::<Vec<_>>(), [Some(7); 3]);
        assert_eq!(some.afters().collect::<Vec<_>>(), [Some(1), None, Some(2)]);
        some.account(Partition(2), 9);
        some.account(Partition(1), 9);
        assert_eq!([0, 1, 2, 3].map(|p| some.seen(Partition(p))), [Some(1), None, Some(9), None]);
        assert_eq!([0, 3].map(|p| alike.seen(Partition(p))), [Some(7), None]);
    }
}
