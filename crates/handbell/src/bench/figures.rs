//! Figures of rounds: their median, and each one for who wants to see the noise.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};

/// One figure, measured in several rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds(Vec<f64>);

impl Rounds {
    pub(super) fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The median; 0 without rounds.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len(), sorted.len() / 2) {
            (0, _) => 0.0,
            (len, half) if len % 2 == 1 => sorted[half],
            (_, half) => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }

    /// `{"median", "rounds"}`.
    pub(super) fn json(&self) -> Json {
        json!({ "median": rounded(self.median()), "rounds": self.0.iter().copied().map(rounded).collect::<Vec<_>>() })
    }
}

/// Three digits behind the point are more than any of this is worth.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

/// Times in nanoseconds, up to a minute, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

/// Adds a time to a histogram.
pub(super) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

/// Percentiles of rounds, in microseconds, and of all rounds together.
pub(super) struct Times {
    all: Histogram<u64>,
    p50: Rounds,
    p99: Rounds,
}

impl Default for Times {
    fn default() -> Self {
        Self { all: histogram(), p50: Rounds::default(), p99: Rounds::default() }
    }
}

impl Times {
    /// Adds one round.
    pub(super) fn add(&mut self, round: &Histogram<u64>) {
        self.p50.add(micros(round, 50.0));
        self.p99.add(micros(round, 99.0));
        // Both have the same bounds.
        self.all.add(round).expect("the bounds are the same");
    }

    pub(super) fn p50(&self) -> f64 {
        self.p50.median()
    }

    pub(super) fn p99(&self) -> f64 {
        self.p99.median()
    }

    /// p50 and p99 as medians of rounds, p99.9 and the maximum over all.
    pub(super) fn json(&self) -> Json {
        json!({
            "p50": self.p50.json(), "p99": self.p99.json(),
            "p999": rounded(micros(&self.all, 99.9)), "max": rounded(self.all.max() as f64 / 1e3),
            "count": self.all.len(),
        })
    }
}

fn micros(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    histogram.value_at_percentile(percentile) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        let median = |figures: &[f64]| Rounds(figures.to_vec()).median();
        assert_eq!((median(&[3.0, 1.0, 9.0]), median(&[4.0, 1.0, 2.0, 9.0]), median(&[])), (2.0 + 1.0, 3.0, 0.0));
    }

    #[test]
    fn times_are_medians_of_rounds_and_the_tail_is_of_all() {
        let mut times = Times::default();
        for micros in [10, 30, 20] {
            let mut round = histogram();
            record(&mut round, Duration::from_micros(micros));
            times.add(&round);
        }
        assert_eq!(times.json()["p50"]["median"].as_f64().map(f64::round), Some(20.0));
        assert_eq!(times.json()["max"].as_f64().map(f64::round), Some(30.0));
    }
}
