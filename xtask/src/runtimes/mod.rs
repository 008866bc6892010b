//! The languages that the example agents are written in, with the one
//! WebSocket library that each needs, and the brokers of the tests.
//!
//! Everything goes under cargo's target directory; the machine's own Python
//! and Node are only asked, never changed.

mod nats;
mod node;
mod python;

use crate::problem::Problem;
use crate::repo::Repo;

pub(crate) use nats::prepare as prepare_nats;
pub(crate) use node::Node;
pub(crate) use python::Python;

/// What this machine can run agents with; at least one of the two.
#[derive(Debug)]
pub(crate) struct Runtimes {
    pub python: Option<Python>,
    pub node: Option<Node>,
}

/// Prepares both and says for each that can't be had what to install.
pub(crate) fn prepare(repo: &Repo) -> Result<Runtimes, Problem> {
    let runtimes =
        Runtimes { python: told("Python", python::prepare(repo))?, node: told("JavaScript", node::prepare(repo))? };
    if runtimes.python.is_none() && runtimes.node.is_none() {
        return Err(Problem::new("neither Python nor JavaScript agents can run here")
            .mend("install one of the two, as said above"));
    }
    Ok(runtimes)
}

/// Prepares both, or says what is missing.
pub(crate) fn prepare_both(repo: &Repo) -> Result<(Python, Node), Problem> {
    Ok((python::prepare(repo)?, node::prepare(repo)?))
}

/// Prepares the suite for the WebSocket protocol.
pub(crate) fn prepare_suite(repo: &Repo) -> Result<Python, Problem> {
    python::prepare_suite(repo)
}

fn told<T>(language: &str, prepared: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match prepared {
        Ok(runtime) => Ok(Some(runtime)),
        Err(Problem::Interrupted) => Err(Problem::Interrupted),
        Err(problem) => {
            println!("    No {language} agent: {problem}");
            Ok(None)
        }
    }
}

/// The two numbers of a version like `v20.20.2` or `3.11.7`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(version("v20.20.2\n"), Some((20, 20)));
        assert_eq!(version("3.11.7"), Some((3, 11)));
        assert_eq!(version("nightly"), None);
    }
}
