//! The configuration that is in force, key by key.

use serde_json::Value as Json;

use super::{
    load::Loaded,
    node::{Step, key_text},
};

/// The configuration as one value.
pub(crate) fn effective(loaded: &Loaded) -> Json {
    serde_json::to_value(&loaded.config).expect("the configuration's keys are text")
}

/// Each key with its value and where it was written.
pub(crate) fn effective_with_origins(loaded: &Loaded) -> Vec<(String, Json, String)> {
    let mut rows = Vec::new();
    walk(&effective(loaded), &mut Vec::new(), &mut |path, value| {
        rows.push((key_text(path), value.clone(), loaded.tree.origin_of(path).to_string()));
    });
    rows
}

/// Every value that is no map, and every empty map.
fn walk(value: &Json, path: &mut Vec<Step>, found: &mut impl FnMut(&[Step], &Json)) {
    match value {
        Json::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                path.push(Step::Key(key.clone()));
                walk(value, path, found);
                path.pop();
            }
        }
        value => found(path, value),
    }
}
