//! The JSON Schema of the configuration, and the table of its keys for the docs.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::section::Config;

/// The JSON Schema, as committed in `docs/schemas/config.schema.json`.
pub(crate) fn json_schema() -> Json {
    let mut schema = schemars::schema_for!(Config).to_value();
    if let Some(members) = schema.as_object_mut() {
        members.insert("title".into(), "Handbell configuration, version 1".into());
        members.insert("required".into(), Json::Array(vec!["version".into()]));
    }
    schema
}

/// The keys as Markdown: a heading and a table for each section.
pub(crate) fn key_table() -> String {
    let schema = json_schema();
    let defaults = serde_json::to_value(Config::default()).expect("the configuration's keys are text");
    let mut text = String::new();
    let sections = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    for (name, property) in sections {
        let mut table = Table { root: &schema, text: String::new() };
        table.key(name, property, defaults.get(name));
        let words = property.get("description").or_else(|| table.resolve(property).get("description"));
        let words = words.and_then(Json::as_str).unwrap_or_default();
        let _ = write!(text, "\n## `{name}`\n{}\n\n", one_line(words));
        let _ = write!(text, "| key | default | meaning |\n|---|---|---|\n{}", table.text);
    }
    text
}

struct Table<'a> {
    root: &'a Json,
    text: String,
}

impl Table<'_> {
    fn section(&mut self, prefix: &str, schema: &Json, defaults: Option<&Json>) {
        let Some(properties) = self.resolve(schema).get("properties").and_then(Json::as_object).cloned() else {
            return;
        };
        for (name, property) in &properties {
            let key = format!("{prefix}{name}");
            self.key(&key, property, defaults.and_then(|defaults| defaults.get(name)));
        }
        for pattern in self.patterns(schema) {
            self.section(&format!("{prefix}\"/agent\"."), &pattern, None);
        }
    }

    fn key(&mut self, key: &str, property: &Json, default: Option<&Json>) {
        let target = self.resolve(property).clone();
        if target.get("properties").is_some() {
            return self.section(&format!("{key}."), &target, default);
        }
        self.row(key, property, &target, default);
        if let Some(each) = target.get("additionalProperties").filter(|each| each.is_object()).cloned() {
            self.section(&format!("{key}.NAME."), &each, None);
        }
        for pattern in self.patterns(&target) {
            self.section(&format!("{key}.\"/agent\"."), &pattern, None);
        }
        if let Some(item) = target.get("items").filter(|item| item.get("$ref").is_some()).cloned() {
            self.section(&format!("{key}[]."), &item, None);
        }
    }

    fn row(&mut self, key: &str, property: &Json, target: &Json, default: Option<&Json>) {
        let words = [property, target].iter().find_map(|schema| schema.get("description").and_then(Json::as_str));
        let meaning = one_line(words.unwrap_or_default());
        let _ = writeln!(self.text, "| `{key}` | {} | {meaning} |", default_text(default));
    }

    fn patterns(&self, schema: &Json) -> Vec<Json> {
        let patterns = self.resolve(schema).get("patternProperties").and_then(Json::as_object);
        patterns.map(Map::values).into_iter().flatten().cloned().collect()
    }

    /// Behind `$ref`, and behind "this or nothing".
    fn resolve<'s>(&'s self, schema: &'s Json) -> &'s Json {
        if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
            let name = name.trim_start_matches("#/$defs/");
            return &self.root["$defs"][name];
        }
        let choices = schema.get("anyOf").and_then(Json::as_array);
        let real = choices.and_then(|all| all.iter().find(|choice| choice.get("type") != Some(&"null".into())));
        real.map_or(schema, |choice| self.resolve(choice))
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn default_text(default: Option<&Json>) -> String {
    match default {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}
