//! Which seeds a simulation runs, as the environment says, and what is printed
//! of one that fails.

use std::env::var;

/// The one seed to replay: `HANDBELL_SIM_SEED`. Whether there was one.
///
/// # Panics
/// When its course has violations.
pub fn replayed(package: &str, violations: impl FnOnce(u64) -> Vec<String>) -> bool {
    let Some(seed) = number("HANDBELL_SIM_SEED") else { return false };
    let violations = violations(seed);
    if !violations.is_empty() {
        fail(package, seed, &violations);
    }
    true
}

/// How many seeds to run: `HANDBELL_SIM_RUNS`, or `default`.
#[must_use]
pub fn runs(default: u64) -> u64 {
    number("HANDBELL_SIM_RUNS").unwrap_or(default)
}

/// Ends the test with what went wrong, and how to see it again.
///
/// # Panics
/// Always.
pub fn fail(package: &str, seed: u64, violations: &[String]) -> ! {
    let what = violations.join("\n");
    panic!("seed {seed}: {what}\nreplay: HANDBELL_SIM_SEED={seed} cargo test -p {package} --test simulation")
}

fn number(name: &str) -> Option<u64> {
    var(name).ok()?.parse().ok()
}
