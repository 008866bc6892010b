//! Reading the command line, and telling what is wrong with it in the form
//! that was asked for.

use std::ffi::OsString;

use clap::{Parser, error::ErrorKind};

use super::Cli;
use crate::failure::Failure;

/// What came of the arguments.
pub(crate) enum Parsed {
    /// A command.
    Cli(Box<Cli>),
    /// Help or version, to be printed on standard output.
    Text(clap::Error),
}

/// Reads the arguments, the program's name first.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Parsed, Failure> {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Ok(Parsed::Cli(Box::new(cli))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Text(error)),
            _ => Err(wrong(&error)),
        },
    }
}

/// Whether errors are wanted as JSON, told before the arguments can be read.
pub(crate) fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--").collect();
    let one = |word: &str| matches!(word, "--json" | "-ojson" | "-o=json" | "--output=json");
    let two = |pair: &[std::borrow::Cow<'_, str>]| matches!(&*pair[0], "-o" | "--output") && pair[1] == "json";
    words.iter().any(|word| one(word)) || words.windows(2).any(two)
}

/// The parser's words, cut into what and how.
fn wrong(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let text = text.trim();
    let (what, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let what = what.strip_prefix("error: ").unwrap_or(what);
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Failure::usage("a command is missing", "", text),
        _ => Failure::usage(what, "handbell's arguments", rest.trim_start()),
    }
}
