//! `config check|print|schema`.

use serde_json::json;

use crate::{
    cli::{ConfigCommand, Format, SchemaForm},
    config::{Loaded, Sources, effective, effective_with_origins, json_schema, key_table, load},
    failure::Done,
    output::{Column, Item, Screen, human},
};

pub(crate) fn run(command: &ConfigCommand, sources: &Sources, screen: Screen) -> Done {
    match command {
        ConfigCommand::Check => check(sources, screen),
        ConfigCommand::Print => print(&load(sources)?, screen),
        ConfigCommand::Schema { form: SchemaForm::JsonSchema } => screen.line(&format!("{:#}", json_schema())),
        ConfigCommand::Schema { form: SchemaForm::Markdown } => screen.line(key_table().trim_end()),
    }
}

fn check(sources: &Sources, screen: Screen) -> Done {
    load(sources)?;
    let what = sources.file.as_ref().map_or_else(|| "no file".into(), |file| file.display().to_string());
    let good = json!({ "ok": true, "file": sources.file });
    match screen.format {
        Format::Json => screen.json_line(&good),
        Format::Yaml => screen.value(&good),
        _ if screen.quiet => Ok(()),
        _ => screen.line(&format!("the configuration is good ({what}, environment, flags)")),
    }
}

fn print(loaded: &Loaded, screen: Screen) -> Done {
    let rows: Vec<_> = effective_with_origins(loaded)
        .into_iter()
        .map(|(key, value, from)| Item::of(&json!({ "key": key, "value": value, "from": from })))
        .collect();
    match screen.format {
        Format::Yaml => screen.value(&effective(loaded)),
        _ => screen.list(&rows, &COLUMNS, "/key"),
    }
}

const COLUMNS: [Column; 3] = [
    Column::new("KEY", |row| human::text(&row["key"])),
    Column::new("VALUE", |row| human::text(&row["value"])),
    Column::new("FROM", |row| human::text(&row["from"])),
];
