//! Handbell's one binary: the command line, the configuration, and the
//! composition of the parts. What the parts do is in their crates.
//!
//! It is a library only so that `properties` can reach the configuration; the
//! program is `main.rs`.

mod api;
mod bench;
mod cli;
mod client;
mod commands;
mod complete;
mod compose;
mod config;
mod failure;
mod output;
mod reach;
mod signals;

use std::{ffi::OsString, process::ExitCode};

pub use config::holds as configuration_holds;

use crate::{
    cli::{Cli, Command, Noun, Parsed},
    config::{Loaded, Sources},
    failure::{Done, Failure},
    output::Screen,
};

/// The program: reads the arguments, does what they say, tells what failed.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let json = cli::wants_json(&arguments);
    let done = match complete::answered() {
        Ok(true) => Ok(()),
        Ok(false) => begin(&arguments),
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            failure.exit.into()
        }
    }
}

fn begin(arguments: &[OsString]) -> Done {
    match cli::parse(arguments)? {
        Parsed::Cli(cli) => start(&cli),
        Parsed::Text(text) => print(&text),
        Parsed::Help(text) => print(&text).and(Err(Failure::helped())),
    }
}

/// What needs no runtime is done without one.
fn start(cli: &Cli) -> Done {
    let screen = Screen::new(&cli.shared);
    let sources = cli.sources();
    match &cli.command {
        Command::Config(command) => commands::settings::run(command, &sources, screen),
        Command::Completions(args) => complete::script(args.shell, screen),
        Command::Man(args) => commands::man::run(args, screen),
        Command::Doctor(args) => on_runtime(doctor(args, &sources, screen)),
        _ => {
            refuse_namespace(cli)?;
            on_runtime(run(cli, &config::load(&sources)?, screen))
        }
    }
}

/// A running Handbell has one namespace; a flag that promised another one
/// would show the wrong events.
fn refuse_namespace(cli: &Cli) -> Done {
    if cli.runs() || cli.shared.namespace.is_none() {
        return Ok(());
    }
    let how = "leave it out, and name the running one with --url or --context";
    Err(Failure::usage("what runs has one namespace, a command that asks it can't choose", "--namespace", how))
}

/// Work to its end. A read of standard input that nobody will ever answer
/// doesn't hold the process up.
fn on_runtime(work: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::failed(format!("no threads can be started: {error}"), "this machine", "free resources")
    })?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

async fn run(cli: &Cli, loaded: &Loaded, screen: Screen) -> Done {
    logs(cli, loaded, screen)?;
    let interrupt = signals::listen().map_err(deaf)?;
    let config = &loaded.config;
    match &cli.command {
        // These end in order when a signal comes …
        Command::Dev(args) => compose::dev(loaded, args.sidecars, screen, interrupt).await,
        Command::Sidecar(_) => compose::sidecar(loaded, screen, interrupt).await,
        Command::Sub(args) => commands::subscribe::run(args, config, screen, interrupt).await,
        Command::Respond(args) => commands::respond::run(args, config, screen, interrupt).await,
        Command::Pub(args) => commands::publish::run(args, config, screen, interrupt).await,
        Command::Request(args) => commands::request::run(args, config, screen, interrupt).await,
        // … and these just end.
        Command::Topic(command) => interrupt.or(commands::nouns::run(Noun::Topic, command, config, screen)).await,
        Command::Agent(command) => interrupt.or(commands::nouns::run(Noun::Agent, command, config, screen)).await,
        Command::Group(command) => interrupt.or(commands::nouns::run(Noun::Group, command, config, screen)).await,
        Command::Event(command) => interrupt.or(commands::nouns::events(command, config, screen)).await,
        Command::Bench(args) => interrupt.or(bench::run(args, &cli.shared.set, screen)).await,
        Command::Version(args) => interrupt.or(commands::version::run(args, config, screen)).await,
        Command::Config(_) | Command::Completions(_) | Command::Man(_) | Command::Doctor(_) => Ok(()),
    }
}

fn deaf(error: std::io::Error) -> Failure {
    Failure::failed(error.to_string(), "signals", "free resources")
}

/// What runs logs as configured; what asks logs only what goes wrong.
fn logs(cli: &Cli, loaded: &Loaded, screen: Screen) -> Done {
    let telemetry = &loaded.config.telemetry;
    let configured = if cli.runs() { telemetry.log.as_str() } else { "warn" };
    let directives = match (cli.shared.verbose, cli.shared.quiet, std::env::var("RUST_LOG")) {
        (_, true, _) => "error".to_owned(),
        (0, _, Ok(directives)) if !directives.is_empty() => directives,
        (0, ..) => configured.to_owned(),
        (1, ..) => "info,handbell=debug,handbell_sidecar=debug,handbell_delivery=debug,handbell_admin=debug".to_owned(),
        _ => "trace".to_owned(),
    };
    let format = match telemetry.format {
        config::LogFormat::Auto => handbell_telemetry::Format::Auto,
        config::LogFormat::Text => handbell_telemetry::Format::Text,
        config::LogFormat::Json => handbell_telemetry::Format::Json,
    };
    handbell_telemetry::init(&directives, format, screen.colours_logs())
        .map_err(|error| Failure::usage(error.to_string(), "telemetry.log (RUST_LOG)", "write a level, like info"))
}

/// It looks also where the configuration is wrong.
async fn doctor(args: &cli::DoctorArgs, sources: &Sources, screen: Screen) -> Done {
    let interrupt = signals::listen().map_err(deaf)?;
    interrupt.or(commands::doctor::run(args, sources, screen)).await
}

fn print(text: &clap::Error) -> Done {
    // Nobody is left to tell when help can't be printed.
    text.print().map_err(|_| Failure::unread())
}

impl Cli {
    /// Whether the command is a service.
    fn runs(&self) -> bool {
        matches!(self.command, Command::Dev(_) | Command::Sidecar(_))
    }

    /// The file, the environment, and the flags that stand for keys.
    fn sources(&self) -> Sources {
        Sources {
            file: self.shared.config.clone().filter(|path| !path.as_os_str().is_empty()),
            env: std::env::vars().collect(),
            set: self.shared.set.clone(),
            flags: self.flags(),
        }
    }
}
