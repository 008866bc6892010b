//! What is committed of the configuration: the schema, the table of keys, the
//! examples. `HANDBELL_BLESS=1 cargo test -p handbell` writes them again.

use std::{fs, path::PathBuf};

use super::{Sources, json_schema, key_table, load};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn blessed(path: &str, expected: &str) {
    let path = root().join(path);
    if std::env::var_os("HANDBELL_BLESS").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let hint = "HANDBELL_BLESS=1 cargo test -p handbell writes it again";
    assert!(committed == expected, "{} is not of this build; {hint}", path.display());
}

#[test]
fn the_committed_schema_is_of_this_build() {
    blessed("docs/schemas/config.schema.json", &format!("{:#}\n", json_schema()));
}

#[test]
fn the_documented_keys_are_of_this_build() {
    let path = "docs/configuration.md";
    let text = fs::read_to_string(root().join(path)).unwrap();
    let (begin, end) = ("<!-- keys:begin -->\n", "<!-- keys:end -->");
    let (head, rest) = text.split_once(begin).expect("the page has a place for the table");
    let (_, tail) = rest.split_once(end).expect("the table's place has an end");
    blessed(path, &format!("{head}{begin}{}{end}{tail}", key_table()));
}

#[test]
fn the_examples_are_good_and_meet_the_schema() {
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    for name in ["minimal.yaml", "handbell.yaml", "handbell.toml"] {
        let file = root().join("config").join(name);
        let text = fs::read_to_string(&file).unwrap();
        load(&Sources { file: Some(file), ..Sources::default() }).unwrap_or_else(|bad| panic!("{name}: {bad:?}"));
        let value: serde_json::Value = match name.ends_with(".toml") {
            true => toml::from_str(&text).unwrap(),
            false => serde_yaml_ng::from_str(&text).unwrap(),
        };
        let wrong: Vec<String> =
            schema.iter_errors(&value).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}
