//! Completions: the script that a shell reads, and the answers that it then
//! asks for, with the names that only a running Handbell knows.

use std::{env, ffi::OsString, path::PathBuf, time::Duration};

use clap::{Command, CommandFactory};
use clap_complete::{
    CompleteEnv, Shell,
    engine::{ArgValueCandidates, CompletionCandidate},
    env::Shells,
};

use crate::{
    api::Api,
    cli::{Cli, Reach},
    config::{self, Sources},
    failure::{Done, Failure},
    output::{Item, Screen},
    reach::{Side, place},
};

/// Set by the script when a shell asks.
const VARIABLE: &str = "HANDBELL_COMPLETE";
/// A Tab must not hang.
const PATIENCE: Duration = Duration::from_millis(500);
const MOST: usize = 1_000;

/// Answers a shell, if one asks; tells whether it did.
pub(crate) fn answered() -> Result<bool, Failure> {
    let here = env::current_dir().ok();
    let asked = CompleteEnv::with_factory(command).var(VARIABLE).try_complete(env::args_os(), here.as_deref());
    asked.map_err(|error| {
        let how = "write handbell completions SHELL again into the shell's folder";
        Failure::usage(error.to_string(), VARIABLE, how)
    })
}

/// Prints the script of a shell.
pub(crate) fn script(shell: Shell, screen: Screen) -> Done {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let completer = shells.completer(&name).expect("every shell of the list is built in");
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "handbell", "handbell", &this_program(), &mut script)
        .expect("a buffer takes everything");
    screen.line(String::from_utf8_lossy(&script).trim_end())
}

/// As it was called; a relative path wouldn't be found from elsewhere.
fn this_program() -> String {
    let called: PathBuf = env::args_os().next().unwrap_or_else(|| OsString::from("handbell")).into();
    let path = if called.components().count() > 1 { called.canonicalize().unwrap_or(called) } else { called };
    path.to_string_lossy().into_owned()
}

/// The command line, with names where they are known.
fn command() -> Command {
    let mut command = Cli::command();
    for (path, names) in [
        ("topic show name", TOPICS),
        ("agent show name", AGENTS),
        ("group show name", GROUPS),
        ("event list topic", TOPICS),
        ("event list source", AGENTS),
        ("pub first", TOPICS),
        ("sub topics", TOPICS),
        ("sub group", GROUPS),
        ("request to", AGENTS),
    ] {
        let words: Vec<&str> = path.split(' ').collect();
        command = with_names(command, &words, names);
    }
    command
}

/// The last word is an argument, those before it lead to its command. All are
/// visited, since changing a single one would move it to the end of its row.
fn with_names(command: Command, words: &[&str], names: Names) -> Command {
    match *words {
        [wanted] => command.mut_args(|arg| match arg.get_id() == wanted {
            true => arg.add(ArgValueCandidates::new(move || candidates(names))),
            false => arg,
        }),
        [wanted, ref rest @ ..] => command.mut_subcommands(|inner| match inner.get_name() == wanted {
            true => with_names(inner, rest, names),
            false => inner,
        }),
        [] => command,
    }
}

/// A list of the API, and where the name stands in its items.
type Names = (&'static str, &'static str);
const TOPICS: Names = ("/topics", "/topic");
const AGENTS: Names = ("/agents", "/agent");
const GROUPS: Names = ("/groups", "/group");

/// None where nobody answers: a completion has nobody to tell.
fn candidates((path, pointer): Names) -> Vec<CompletionCandidate> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let asked = runtime.block_on(async { tokio::time::timeout(PATIENCE, items(path)).await });
    let Ok(Ok(items)) = asked else { return Vec::new() };
    let names = items.iter().filter_map(|item| item.value().pointer(pointer)?.as_str());
    names.map(CompletionCandidate::new).collect()
}

async fn items(path: &str) -> Result<Vec<Item>, Failure> {
    let file = env::var_os("HANDBELL_CONFIG").filter(|path| !path.is_empty()).map(Into::into);
    let config = config::load(&Sources { file, env: env::vars().collect(), ..Sources::default() })?.config;
    let reach = Reach { url: None, context: None, token_file: env::var_os("HANDBELL_TOKEN_FILE").map(Into::into) };
    Api::new(place(&reach, &config, Side::Admin)?)?.list(path, &[], MOST).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_with_names_is_consistent() {
        command().debug_assert();
    }
}
