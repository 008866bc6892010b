//! `config check|print|schema` and their help; what they do is in `commands/settings.rs`.

use clap::{Subcommand, ValueEnum};

/// The configuration by itself; nothing is started.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the file, the environment and the flags together
    #[command(after_help = "Example:\n  handbell config check --config handbell.yaml")]
    Check,
    /// Print what is in force, key by key, and where each value was written
    #[command(after_help = "\
Examples:
  handbell config print --set sidecar.drain=1m
  handbell config print -o yaml > handbell.yaml     a file with every key")]
    Print,
    /// Print the JSON Schema
    #[command(after_help = "Example:\n  handbell config schema > config.schema.json")]
    Schema {
        /// For editors and programs, or as a table for people
        #[arg(long, value_enum, default_value_t = SchemaForm::JsonSchema)]
        form: SchemaForm,
    },
}

/// The form of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaForm {
    /// JSON Schema
    JsonSchema,
    /// A Markdown table: key, default, meaning
    Markdown,
}
