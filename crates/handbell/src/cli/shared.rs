//! Flags that all commands have, and those of commands that talk to a running one.

use std::path::PathBuf;

use clap::{
    ArgAction, Args, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};

/// A path; one that is empty, as from a variable that is set to nothing,
/// counts as none later on.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Flags that all commands have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Flags of all commands")]
pub(crate) struct Shared {
    /// The configuration file, YAML or TOML
    #[arg(long, global = true, value_name = "FILE", env = "HANDBELL_CONFIG", hide_env_values = true, value_parser = path())]
    pub(crate) config: Option<PathBuf>,
    /// A key of the configuration; a TOML value where it parses as one, else text
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE", action = ArgAction::Append)]
    pub(crate) set: Vec<String>,
    /// The namespace of what runs; not for commands that ask a running one, which has its own
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The form of the answer: table, wide, json, yaml or name
    #[arg(short, long, global = true, value_enum, value_name = "FORM", hide_possible_values = true, default_value_t = Format::Table, hide_default_value = true)]
    pub(crate) output: Format,
    /// The same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    json: bool,
    /// Log more; twice: everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Log errors only, and say nothing that wasn't asked for
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Colour: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_enum, value_name = "WHEN", hide_possible_values = true, default_value_t = Colour::Auto, hide_default_value = true)]
    pub(crate) color: Colour,
}

impl Shared {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// More columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// Names only, one a line
    Name,
}

/// When there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Which running Handbell is asked, and as whom.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which one is asked")]
pub(crate) struct Reach {
    /// Its address, as the line "ready" prints it [env: HANDBELL_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A name from contexts.yaml in the user's config folder
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// A file that holds the token
    #[arg(long, value_name = "FILE", env = "HANDBELL_TOKEN_FILE", hide_env_values = true, value_parser = path())]
    pub(crate) token_file: Option<PathBuf>,
}
