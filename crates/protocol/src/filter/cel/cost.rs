//! What an evaluation may cost at most, known before it begins.

use super::values::Sizes;

/// An evaluation that could cost more steps isn't begun. A step takes some
/// tens of nanoseconds.
pub(super) const BUDGET: u64 = 2_000_000;

/// What of an expression decides about its cost. A loop over data counts as
/// one over every value of the payload; loops in it run over parts of its
/// variable, so together they are no longer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Steps that are done once.
    pub(super) steps: u64,
    /// Steps that are done for each value of the payload.
    pub(super) steps_per_value: u64,
    /// Elements of literal lists: a loop over data may run over them, too.
    pub(super) literals: u64,
    /// How often `+` stands in it: each can copy its operands.
    pub(super) sums: u64,
    /// Where data are mentioned: each mention can read or copy all of them.
    pub(super) mentions: Vec<Mention>,
}

/// One mention of `event`, `routing`, the payload or a member of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// Which data, as an index into [`Sizes::data`].
    pub(super) data: usize,
    /// How often the loops over literals around it repeat it.
    pub(super) times: u64,
    /// Whether a loop over data repeats it for each value.
    pub(super) per_value: bool,
}

impl Shape {
    /// The most steps that an evaluation on data of these sizes can take.
    pub(super) fn cost(&self, sizes: &Sizes) -> u64 {
        let values = sizes.values.saturating_add(self.literals).saturating_add(1);
        let copies = self.sums.saturating_add(1);
        let mentions = self.mentions.iter().map(|mention| {
            let times = if mention.per_value { mention.times.saturating_mul(values) } else { mention.times };
            times.saturating_mul(sizes.data.get(mention.data).copied().unwrap_or(0)).saturating_mul(copies)
        });
        mentions.fold(self.steps.saturating_add(self.steps_per_value.saturating_mul(values)), u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_inside_a_loop_costs_its_size_for_each_value() {
        let sizes = Sizes { values: 9, data: vec![100, 7] };
        let mention = |data, per_value| Mention { data, times: 2, per_value };
        let shape = Shape {
            steps: 5,
            steps_per_value: 3,
            mentions: vec![mention(0, false), mention(1, true)],
            ..Shape::default()
        };
        assert_eq!(shape.cost(&sizes), 5 + 3 * 10 + 2 * 100 + 2 * 7 * 10);
        let shape = Shape { sums: 1, ..shape };
        assert_eq!(shape.cost(&sizes), 5 + 3 * 10 + 2 * (2 * 100 + 2 * 7 * 10));
    }

    #[test]
    fn the_cost_saturates() {
        let shape = Shape { steps_per_value: u64::MAX, ..Shape::default() };
        assert_eq!(shape.cost(&Sizes { values: u64::MAX, data: vec![] }), u64::MAX);
    }
}
