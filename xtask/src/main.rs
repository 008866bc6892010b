//! The repository's own commands: `cargo xtask demo | test | tidy | generate`.
//!
//! Owns what a newcomer and CI run, and the rules that hold the crates apart.
//! Deliberately knows nothing of Handbell's types: it drives the built binary
//! and cargo from outside, and stays light so that it builds in seconds.

mod cli;
mod demo;
mod generate;
mod metadata;
mod problem;
mod repo;
mod runtimes;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use crate::cli::Command;
use crate::problem::Problem;
use crate::repo::Repo;

fn main() -> ExitCode {
    match cli::parse(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nxtask: {problem}");
            problem.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Problem> {
    match command {
        Command::Help => {
            print!("{}", cli::usage());
            Ok(())
        }
        Command::Demo => demo::run(&Repo::find()?),
        Command::Test(tiers) => test::run(&Repo::find()?, &tiers),
        Command::Tidy => tidy::run(&Repo::find()?),
        Command::Generate => generate::run(&Repo::find()?),
    }
}
