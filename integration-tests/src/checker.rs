//! What must hold of every event that was published, delivered and settled,
//! whatever broke meanwhile: what was acknowledged is delivered, a key keeps
//! its order, nothing comes again after it was settled, attempts are right.

use std::collections::{BTreeMap, BTreeSet};

/// The events of one run are numbered from 1; number n is of key n modulo
/// [`Checker::KEYS`].
#[derive(Debug, Default)]
pub struct Checker {
    published: BTreeMap<u64, String>,
    /// How often each was delivered.
    delivered: BTreeMap<u64, u64>,
    settled: BTreeSet<u64>,
    /// How often each was out, or may have been, when its holder was lost.
    lost: BTreeMap<u64, u64>,
    /// The highest of each key that was delivered.
    highest: BTreeMap<u64, u64>,
    /// The highest attempt of each.
    attempts: BTreeMap<u64, u64>,
    takeovers: u64,
    /// What doesn't hold.
    broken: Vec<String>,
}

impl Checker {
    /// How many keys there are.
    pub const KEYS: u64 = 7;

    /// An event was acknowledged under that ID.
    pub fn published(&mut self, n: u64, id: &str) {
        if let Some(other) = self.published.insert(n, id.to_owned()).filter(|other| other != id) {
            self.broken.push(format!("number {n} was published as {other} and as {id}"));
        }
    }

    /// An event was handed to somebody.
    pub fn delivered(&mut self, n: u64, attempt: u64, id: &str) {
        if self.settled.contains(&n) {
            self.broken.push(format!("number {n} (attempt {attempt}) came after it was settled"));
        }
        if self.published.get(&n).is_some_and(|published| published != id) {
            self.broken.push(format!("number {n} was published under another ID than {id}"));
        }
        let times = self.delivered.entry(n).or_default();
        *times += 1;
        let highest = self.highest.entry(n % Self::KEYS).or_default();
        if *times == 1 && n < *highest {
            self.broken.push(format!("number {n} came after {highest} of its key"));
        }
        *highest = n.max(*highest);
        let highest = self.attempts.entry(n).or_default();
        *highest = attempt.max(*highest);
    }

    /// A sidecar was cut off for longer than its lease: others count what it
    /// may have handed out, whether or not it has.
    pub fn taken_over(&mut self) {
        self.takeovers += 1;
    }

    /// A settlement is durable.
    pub fn settled(&mut self, n: u64) {
        if !self.settled.insert(n) {
            self.broken.push(format!("number {n} was settled twice"));
        }
    }

    /// A holder was lost, or was told that its settlement had no effect: what
    /// it had may be settled or come again.
    pub fn lost(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            *self.lost.entry(n).or_default() += 1;
        }
    }

    /// How many are settled, or were acked at a holder that was lost before it
    /// was told, and have not come again.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.settled.len() as u64
    }

    /// How many came more than once.
    #[must_use]
    pub fn again(&self) -> usize {
        self.delivered.values().filter(|times| **times > 1).count()
    }

    /// What doesn't hold, of `count` events.
    ///
    /// # Errors
    /// The first few breaches.
    pub fn verify(&self, count: u64) -> anyhow::Result<()> {
        let mut broken = self.broken.clone();
        let came_too_often = self.delivered.iter().filter_map(|(n, times)| {
            let lost = self.lost.get(n).copied().unwrap_or(0);
            (*times > 1 + lost).then(|| format!("number {n} came {times} times, its holder was lost {lost} times"))
        });
        broken.extend(came_too_often);
        // Who was lost is known only in the end: the other may be told first.
        let counted = self.attempts.iter().filter_map(|(n, attempt)| {
            let lost = self.lost.get(n).copied().unwrap_or(0);
            let words = || format!("number {n} has attempt {attempt}; its holder was lost {lost} times");
            (*attempt > 1 + lost + self.takeovers).then(words)
        });
        broken.extend(counted);
        let missing = (1..=count).filter(|n| !self.published.contains_key(n));
        broken.extend(missing.map(|n| format!("number {n} was never acknowledged")));
        let acknowledged = self.published.keys().filter(|n| !self.is_through(**n));
        broken.extend(acknowledged.map(|n| format!("number {n} was acknowledged and is not done")));
        let ids: BTreeSet<_> = self.published.values().collect();
        if ids.len() != self.published.len() {
            broken.push("two numbers have one ID".into());
        }
        anyhow::ensure!(broken.is_empty(), "{} breaches: {:#?}", broken.len(), &broken[..broken.len().min(10)]);
        Ok(())
    }

    /// Settled, or in doubt at a holder that was lost.
    fn is_through(&self, n: u64) -> bool {
        self.settled.contains(&n) || (self.delivered.contains_key(&n) && self.lost.contains_key(&n))
    }

    /// Whether nothing more is to come of `count` events.
    #[must_use]
    pub fn is_over(&self, count: u64) -> bool {
        self.published.len() as u64 == count && self.published.keys().all(|n| self.is_through(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breach(steps: impl FnOnce(&mut Checker)) -> String {
        let mut checker = Checker::default();
        steps(&mut checker);
        checker.verify(0).unwrap_err().to_string()
    }

    #[test]
    fn each_breach_is_found() {
        assert!(breach(|c| c.published(1, "a")).contains("acknowledged and is not done"));
        let again = breach(|c| {
            c.delivered(1, 1, "a");
            c.settled(1);
            c.delivered(1, 2, "a");
        });
        assert!(again.contains("came after it was settled"), "{again}");
        let order = breach(|c| [8, 1].iter().for_each(|n| c.delivered(*n, 1, "a")));
        assert!(order.contains("number 1 came after 8 of its key"), "{order}");
        let attempt = breach(|c| c.delivered(1, 2, "a"));
        assert!(attempt.contains("attempt 2"), "{attempt}");
        let twice = breach(|c| (0..2).for_each(|_| c.delivered(1, 1, "a")));
        assert!(twice.contains("came 2 times"), "{twice}");
        let missing = Checker::default().verify(1).unwrap_err().to_string();
        assert!(missing.contains("never acknowledged"), "{missing}");
    }

    #[test]
    fn what_a_lost_holder_had_may_come_again_and_count() {
        let mut checker = Checker::default();
        checker.published(1, "a");
        checker.delivered(1, 1, "a");
        checker.lost([1]);
        checker.delivered(1, 2, "a");
        checker.settled(1);
        assert!(checker.is_over(1));
        checker.verify(1).unwrap();
    }
}
