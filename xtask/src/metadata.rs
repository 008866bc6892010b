//! What `cargo metadata` says about the workspace, reduced to names and edges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::problem::Problem;
use crate::repo::Repo;
use crate::shell;

/// The workspace's packages and everything below them.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// The packages of this repository.
    pub members: Vec<Member>,
    /// Package → packages that its code is linked with (no tests, no build
    /// scripts), by name; versions of one name are taken together.
    pub linked: BTreeMap<String, BTreeSet<String>>,
}

/// One package of this repository.
#[derive(Debug)]
pub(crate) struct Member {
    pub name: String,
    /// The folder that holds its `Cargo.toml`.
    pub folder: PathBuf,
    pub dependencies: Vec<Dependency>,
}

/// A dependency as the manifest declares it.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub name: String,
    /// Whether only tests, examples and benches see it.
    pub dev: bool,
}

/// Asks cargo.
pub(crate) fn load(repo: &Repo) -> Result<Graph, Problem> {
    let text = shell::read(&mut repo.cargo(["metadata", "--format-version", "1", "--quiet"]))?;
    let value = serde_json::from_str(&text)
        .map_err(|error| Problem::new(format!("failed to read what `cargo metadata` printed: {error}")))?;
    parse(&value).ok_or_else(|| Problem::new("`cargo metadata` printed something of another form than format 1"))
}

/// `None` when it isn't of the form that cargo documents.
pub(crate) fn parse(value: &Value) -> Option<Graph> {
    let packages = value["packages"].as_array()?;
    let names: BTreeMap<&str, &str> =
        packages.iter().map(|p| Some((p["id"].as_str()?, p["name"].as_str()?))).collect::<Option<_>>()?;
    let ours: BTreeSet<&str> = value["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
    let is_ours = |p: &&Value| p["id"].as_str().is_some_and(|id| ours.contains(id));
    let members = packages.iter().filter(is_ours).map(member).collect::<Option<_>>()?;
    let mut linked = BTreeMap::<String, BTreeSet<String>>::new();
    for node in value["resolve"]["nodes"].as_array()? {
        let from = (*names.get(node["id"].as_str()?)?).to_owned();
        let to = node["deps"].as_array()?.iter().filter(|dep| is_linked(dep));
        let to = to.filter_map(|dep| names.get(dep["pkg"].as_str()?)).map(|name| (*name).to_owned());
        linked.entry(from).or_default().extend(to);
    }
    Some(Graph { members, linked })
}

fn member(package: &Value) -> Option<Member> {
    let dependency =
        |d: &Value| Some(Dependency { name: d["name"].as_str()?.to_owned(), dev: d["kind"].as_str() == Some("dev") });
    Some(Member {
        name: package["name"].as_str()?.to_owned(),
        folder: PathBuf::from(package["manifest_path"].as_str()?).parent()?.to_path_buf(),
        dependencies: package["dependencies"].as_array()?.iter().map(dependency).collect::<Option<_>>()?,
    })
}

fn is_linked(dep: &Value) -> bool {
    dep["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

impl Graph {
    /// The shortest way from one package to another over linked code.
    pub(crate) fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut seen = BTreeSet::from([from.to_owned()]);
        let mut paths = vec![vec![from.to_owned()]];
        while !paths.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                let last = path.last()?;
                if last == to {
                    return Some(path);
                }
                for next in self.linked.get(last).into_iter().flatten() {
                    if seen.insert(next.clone()) {
                        longer.push([path.as_slice(), std::slice::from_ref(next)].concat());
                    }
                }
            }
            paths = longer;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn graph() -> Graph {
        let package = |name: &str, deps: Value| {
            json!({"id": format!("{name} 1"), "name": name, "manifest_path": format!("/repo/{name}/Cargo.toml"),
                   "dependencies": deps})
        };
        let dep = |name: &str, kind: Value| json!({"pkg": format!("{name} 1"), "dep_kinds": [{"kind": kind}]});
        let node = |name: &str, deps: Value| json!({"id": format!("{name} 1"), "deps": deps});
        parse(&json!({
            "packages": [
                package("a", json!([{"name": "b", "kind": null}, {"name": "t", "kind": "dev"}])),
                package("b", json!([])), package("c", json!([])), package("t", json!([])),
            ],
            "workspace_members": ["a 1"],
            "resolve": {"nodes": [
                node("a", json!([dep("b", Value::Null), dep("t", json!("dev"))])),
                node("b", json!([dep("c", Value::Null)])),
                node("c", json!([])), node("t", json!([])),
            ]},
        }))
        .expect("this is the documented form")
    }

    #[test]
    fn only_the_workspace_s_packages_are_members() {
        let graph = graph();
        let [member] = graph.members.as_slice() else { panic!("{:?}", graph.members) };
        assert_eq!((member.name.as_str(), member.folder.to_str()), ("a", Some("/repo/a")));
        assert!(member.dependencies.iter().any(|d| d.name == "t" && d.dev));
    }

    #[test]
    fn a_path_leads_over_linked_code_and_not_over_tests() {
        assert_eq!(graph().path("a", "c"), Some(vec!["a".to_owned(), "b".into(), "c".into()]));
        assert_eq!(graph().path("a", "t"), None);
    }

    #[test]
    fn another_form_is_not_guessed_at() {
        assert!(parse(&json!({"packages": {}})).is_none());
    }
}
