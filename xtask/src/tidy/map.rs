//! `crates/README.md` is the map: it names every crate that there is.

use std::path::Path;

use super::Finding;
use super::manifests::Manifest;
use super::sources::Source;

const MAP: &str = "crates/README.md";

/// Crates that the map leaves out.
pub(crate) fn check(crates: &[Manifest], sources: &[Source]) -> Vec<Finding> {
    let Some(map) = sources.iter().find(|source| source.path == Path::new(MAP)) else {
        return vec![Finding::new(MAP, 0, "is missing; it is the map of the crates")];
    };
    let is_named = |name: &str| [format!("`{name}`"), format!("`{name}/`")].iter().any(|form| map.text.contains(form));
    let left_out = crates.iter().map(Manifest::short_name).filter(|name| !is_named(name));
    left_out.map(|name| Finding::new(MAP, 0, format!("doesn't name the crate `{name}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_on_the_map() {
        let crates = ["backend", "groups"].map(|name| Manifest {
            name: format!("handbell-{name}"),
            folder: format!("crates/{name}").into(),
            text: String::new(),
        });
        let map = |text: &str| [Source { path: MAP.into(), text: text.into() }];
        assert!(check(&crates, &map("| `backend` | … |\n| `groups/` | … |")).is_empty());
        assert_eq!(check(&crates, &map("| `backend-groups` | `backend` |")).len(), 1);
        assert_eq!(check(&crates, &[]).len(), 1);
    }
}
