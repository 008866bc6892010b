//! The table of the architecture: which crate may use which, and what each
//! must never meet.
//!
//! A crate that has no row here is refused, so the table can't fall behind.

/// A row of the table. Crates go by the names of their folders.
#[derive(Debug)]
pub(crate) struct Rule {
    pub name: &'static str,
    /// Crates of the workspace that its code may use; no others.
    pub uses: &'static [&'static str],
    /// Crates that its tests, examples and benches may use besides.
    pub tests_use: &'static [&'static str],
    /// Libraries that it must not be linked with, not even through others.
    pub never: &'static [&'static [&'static str]],
    /// What its code outside of tests must not say.
    pub silent_on: &'static [&'static str],
}

/// Sockets, and what runs futures.
const IO: &[&str] =
    &["tokio", "tokio-util", "tokio-tungstenite", "async-io", "smol", "mio", "hyper", "axum", "reqwest"];
/// Futures in any form.
const ASYNC: &[&str] = &["async-trait", "futures-core", "futures-util"];
const RANDOMNESS: &[&str] = &["rand", "fastrand"];
const EMBEDDED: &[&str] = &["rusqlite"];
const NATS: &[&str] = &["async-nats"];
const KAFKA: &[&str] = &["rdkafka"];

const NO_IO: &[&str] = &["tokio::", "std::net", "std::fs", "async fn"];
/// Time and randomness are inputs.
const NO_IO_NO_CLOCK: &[&str] = &[
    "tokio::",
    "std::net",
    "std::fs",
    "async fn",
    "std::thread",
    "Instant::now",
    "Timestamp::now",
    "SystemTime",
    "getrandom",
];

/// What a test may stand on: builders, and the embedded log in its memory mode.
const TEST_PARTS: &[&str] = &["test-support", "backend-embedded"];

const ALL_PARTS: &[&str] = &[
    "protocol",
    "backend",
    "backend-embedded",
    "backend-nats",
    "backend-kafka",
    "groups",
    "delivery",
    "machines",
    "coordinator",
    "sidecar",
    "admin",
    "history",
    "telemetry",
];

pub(crate) const RULES: &[Rule] = &[
    Rule { name: "protocol", uses: &[], tests_use: &[], never: &[IO, EMBEDDED, NATS, KAFKA], silent_on: NO_IO },
    Rule {
        name: "backend",
        uses: &["protocol"],
        tests_use: &["test-support"],
        never: &[IO, EMBEDDED, NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "backend-embedded",
        uses: &["protocol", "backend"],
        tests_use: &["test-support", "backend-conformance"],
        never: &[NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "backend-nats",
        uses: &["protocol", "backend"],
        tests_use: &["test-support", "backend-conformance"],
        never: &[EMBEDDED, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "backend-kafka",
        uses: &["protocol", "backend"],
        tests_use: &["test-support", "backend-conformance"],
        never: &[EMBEDDED, NATS],
        silent_on: &[],
    },
    Rule {
        name: "groups",
        uses: &["protocol", "backend"],
        tests_use: &["test-support"],
        never: &[IO, EMBEDDED, NATS, KAFKA],
        silent_on: NO_IO_NO_CLOCK,
    },
    Rule {
        name: "delivery",
        uses: &["protocol", "backend", "groups"],
        tests_use: TEST_PARTS,
        never: &[EMBEDDED, NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "backend-conformance",
        uses: &["protocol", "backend", "groups", "delivery", "backend-embedded", "backend-nats", "backend-kafka"],
        tests_use: TEST_PARTS,
        never: &[],
        silent_on: &[],
    },
    Rule {
        name: "machines",
        uses: &["protocol"],
        tests_use: &["test-support"],
        never: &[IO, ASYNC, RANDOMNESS, EMBEDDED, NATS, KAFKA],
        silent_on: NO_IO_NO_CLOCK,
    },
    Rule {
        name: "coordinator",
        uses: &["protocol", "backend", "groups", "delivery", "machines", "history", "telemetry"],
        tests_use: TEST_PARTS,
        never: &[NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "sidecar",
        uses: &["protocol", "backend", "groups", "delivery", "telemetry"],
        tests_use: TEST_PARTS,
        never: &[EMBEDDED, NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "admin",
        uses: &["protocol", "backend", "delivery"],
        tests_use: TEST_PARTS,
        never: &[EMBEDDED, NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "history",
        uses: &["protocol", "backend"],
        tests_use: TEST_PARTS,
        never: &[NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "telemetry",
        uses: &["protocol"],
        tests_use: &["test-support"],
        never: &[EMBEDDED, NATS, KAFKA],
        silent_on: &[],
    },
    Rule { name: "handbell", uses: ALL_PARTS, tests_use: &["test-support"], never: &[], silent_on: &[] },
    Rule {
        name: "test-support",
        uses: &["protocol", "backend", "groups", "delivery", "machines"],
        tests_use: &["backend-embedded"],
        never: &[EMBEDDED, NATS, KAFKA],
        silent_on: &[],
    },
    Rule {
        name: "integration-tests",
        uses: ALL_PARTS,
        tests_use: &["test-support", "backend-conformance"],
        never: &[],
        silent_on: &[],
    },
    Rule { name: "properties", uses: &["protocol", "handbell"], tests_use: &[], never: &[], silent_on: &[] },
    Rule { name: "xtask", uses: &[], tests_use: &[], never: &[IO], silent_on: &[] },
];

/// The row of a crate.
pub(crate) fn of(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

/// The package that a crate of the table is built as.
pub(crate) fn package(name: &str) -> String {
    match name {
        "handbell" | "xtask" | "integration-tests" => name.to_owned(),
        _ => format!("handbell-{name}"),
    }
}

/// The crate of the table that a package is, if it is one.
pub(crate) fn name_of(package_name: &str) -> Option<&'static str> {
    RULES.iter().map(|rule| rule.name).find(|name| package(name) == package_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_that_a_row_names_has_a_row() {
        for rule in RULES {
            for name in rule.uses.iter().chain(rule.tests_use) {
                assert!(of(name).is_some(), "{} names {name}", rule.name);
            }
        }
    }

    #[test]
    fn no_crate_uses_itself_even_through_others() {
        fn reaches(from: &str, to: &str) -> bool {
            of(from).is_some_and(|rule| rule.uses.iter().any(|next| *next == to || reaches(next, to)))
        }
        for rule in RULES {
            assert!(!reaches(rule.name, rule.name), "{} uses itself", rule.name);
        }
    }

    #[test]
    fn packages_carry_the_product_s_name() {
        assert_eq!((package("sidecar").as_str(), package("handbell").as_str()), ("handbell-sidecar", "handbell"));
        assert_eq!(name_of("handbell-sidecar"), Some("sidecar"));
        assert_eq!(name_of("sidecar"), None);
    }
}
