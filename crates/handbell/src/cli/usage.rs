//! Reading the command line, and telling what is wrong with it in the form
//! that was asked for.

use std::{error::Error, ffi::OsString};

use clap::{
    Parser,
    error::{ContextKind, ErrorKind},
};

use super::Cli;
use crate::failure::Failure;

/// What came of the arguments.
pub(crate) enum Parsed {
    /// A command.
    Cli(Box<Cli>),
    /// Help or version, to be printed on standard output.
    Text(clap::Error),
    /// Help that nobody has asked for, since there is no command.
    Help(clap::Error),
}

/// Reads the arguments, the program's name first.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Parsed, Failure> {
    match Cli::try_parse_from(help_last(arguments)) {
        Ok(cli) => Ok(Parsed::Cli(Box::new(cli))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Text(error)),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !wants_json(arguments) => Ok(Parsed::Help(error)),
            _ => Err(wrong(&error)),
        },
    }
}

/// `help pub` as `pub --help`.
fn help_last(arguments: &[OsString]) -> Vec<OsString> {
    match arguments {
        [program, help, rest @ ..] if help == "help" => {
            [std::slice::from_ref(program), rest, &["--help".into()]].concat()
        }
        _ => arguments.to_vec(),
    }
}

/// Whether errors are wanted as JSON, told before the arguments can be read.
pub(crate) fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--").collect();
    let one = |word: &str| matches!(word, "--json" | "-ojson" | "-o=json" | "--output=json");
    let two = |pair: &[std::borrow::Cow<'_, str>]| matches!(&*pair[0], "-o" | "--output") && pair[1] == "json";
    words.iter().any(|word| one(word)) || words.windows(2).any(two)
}

const ARGUMENTS: &str = "handbell's arguments";
const HELP: &str = "handbell --help lists the commands, handbell COMMAND --help its flags";

/// What a value's own reader says: it knows what is wrong and how to mend it.
fn bad_value(error: &clap::Error) -> Option<Failure> {
    let text = |kind| error.get(kind).map(ToString::to_string);
    let (argument, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let fault = error.source()?.to_string();
    if let Some((_, range)) = fault.split_once(" is not in ") {
        let how = format!("write a number from {}", range.replacen("..=", " to ", 1));
        return Some(Failure::usage(format!("{value} is out of bounds"), argument, how));
    }
    if let Some((name, rule)) = fault.split_once(" must ") {
        return Some(Failure::usage(format!("{name} can't be taken"), argument, format!("it must {rule}")));
    }
    let (what, how) = fault.split_once("; ").unwrap_or((&fault, HELP));
    let what = if what.contains(&value) && !value.is_empty() { what.to_owned() } else { format!("{value:?}: {what}") };
    Some(Failure::usage(what, argument, how))
}

/// The parser's words, cut into what and how.
fn wrong(error: &clap::Error) -> Failure {
    if error.kind() == ErrorKind::ValueValidation
        && let Some(failure) = bad_value(error)
    {
        return failure;
    }
    let text = error.render().to_string();
    let text = text.trim();
    let (what, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let what = what.strip_prefix("error: ").unwrap_or(what);
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Failure::usage("a command is missing", ARGUMENTS, HELP),
        _ => Failure::usage(what, ARGUMENTS, if rest.is_empty() { HELP } else { rest.trim_start() }),
    }
}
