//! Holds cargo's graph against the table of `rules`.

use std::path::Path;

use super::Finding;
use super::rules::{self, Rule};
use crate::metadata::{Graph, Member};

/// Crates without a row, edges that the table doesn't allow, libraries that a
/// crate must not meet.
pub(crate) fn check(graph: &Graph) -> Vec<Finding> {
    graph.members.iter().flat_map(|member| check_member(graph, member)).collect()
}

fn check_member(graph: &Graph, member: &Member) -> Vec<Finding> {
    let Some(rule) = rules::name_of(&member.name).and_then(rules::of) else {
        let what = "is not in the architecture's table; decide what it may use (xtask/src/tidy/rules.rs)";
        return vec![finding(member, what)];
    };
    let mut findings = forbidden_edges(rule, member);
    findings.extend(forbidden_libraries(rule, graph, member));
    findings
}

fn forbidden_edges(rule: &Rule, member: &Member) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in &member.dependencies {
        let Some(used) = rules::name_of(&dependency.name) else { continue };
        // A crate's tests may use it once more, with another feature.
        let in_tests = rule.tests_use.contains(&used) || rules::name_of(&member.name) == Some(used);
        let allowed = rule.uses.contains(&used) || dependency.dev && in_tests;
        if !allowed {
            let whose = if dependency.dev { "its tests use" } else { "uses" };
            findings.push(finding(member, &format!("{whose} `{used}`, which the architecture's table doesn't allow")));
        }
    }
    findings
}

fn forbidden_libraries(rule: &Rule, graph: &Graph, member: &Member) -> Vec<Finding> {
    let libraries = rule.never.iter().copied().flatten();
    let paths = libraries.filter_map(|library| graph.path(&member.name, library));
    paths.map(|path| finding(member, &format!("must not be linked with {}", path[1..].join(" → ")))).collect()
}

fn finding(member: &Member, what: &str) -> Finding {
    Finding::new(Path::new("Cargo graph"), 0, format!("crate `{}` {what}", member.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn member(name: &str, uses: &[&str], tests_use: &[&str]) -> Member {
        let dependency = |dev: bool| move |name: &&str| Dependency { name: (*name).to_owned(), dev };
        let dependencies = uses.iter().map(dependency(false)).chain(tests_use.iter().map(dependency(true)));
        Member { name: name.into(), folder: "/repo".into(), dependencies: dependencies.collect() }
    }

    fn findings(members: Vec<Member>, linked: &[(&str, &str)]) -> Vec<String> {
        let mut graph = Graph { members, ..Graph::default() };
        for (from, to) in linked {
            graph.linked.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        check(&graph).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        assert_eq!(findings(vec![member("handbell-surprise", &[], &[])], &[]).len(), 1);
    }

    #[test]
    fn an_edge_outside_of_the_table_is_found() {
        let found = findings(vec![member("handbell-sidecar", &["handbell-protocol", "handbell-machines"], &[])], &[]);
        assert!(matches!(found.as_slice(), [one] if one.contains("`machines`")), "{found:?}");
    }

    #[test]
    fn tests_may_use_what_code_may_not() {
        assert!(findings(vec![member("handbell-delivery", &[], &["handbell-backend-embedded"])], &[]).is_empty());
        assert_eq!(findings(vec![member("handbell-delivery", &["handbell-backend-embedded"], &[])], &[]).len(), 1);
    }

    #[test]
    fn a_library_is_found_behind_another_crate() {
        let linked = [("handbell-groups", "handbell-backend"), ("handbell-backend", "tokio")];
        let found = findings(vec![member("handbell-groups", &["handbell-backend"], &[])], &linked);
        assert!(matches!(found.as_slice(), [one] if one.contains("handbell-backend → tokio")), "{found:?}");
    }

    #[test]
    fn one_broker_s_backend_never_meets_another_s_client() {
        let linked = [("handbell-backend-nats", "async-nats"), ("handbell-backend-nats", "rdkafka")];
        let found = findings(vec![member("handbell-backend-nats", &[], &[])], &linked);
        assert!(matches!(found.as_slice(), [one] if one.contains("rdkafka")), "{found:?}");
    }
}
