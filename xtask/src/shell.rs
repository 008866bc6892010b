//! Running other programs, one at a time, to their end.
//!
//! None of them gets our standard input. What runs beside us lives in
//! `demo::stage`.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::problem::Problem;

/// Says the command and runs it; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<(), Problem> {
    println!("    $ {}", shown(command));
    quietly(command)
}

/// Runs the command without a word of our own.
pub(crate) fn quietly(command: &mut Command) -> Result<(), Problem> {
    let status = command.stdin(Stdio::null()).status().map_err(|error| not_started(command, &error))?;
    succeeded(command, status)
}

/// What the command writes to its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, Problem> {
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout)
        .map_err(|_| Problem::new(format!("`{}` printed something that is not UTF-8", shown(command))))
}

/// Whether the command can be started and ends well; all it prints is dropped.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as a person would type it, programs by their bare names.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let words = command.get_args().map(|arg| quoted(&arg.to_string_lossy()));
    std::iter::once(program.into_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// In single quotes where a shell would read it otherwise.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn not_started(command: &Command, error: &std::io::Error) -> Problem {
    Problem::new(format!("failed to start `{}`: {error}", shown(command)))
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<(), Problem> {
    if status.success() {
        return Ok(());
    }
    Err(Problem::new(format!("`{}` failed: {status}", shown(command))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_types_it() {
        let mut command = Command::new("/usr/bin/handbell");
        command.args(["pub", "project.stories", "it's {}", ""]);
        assert_eq!(shown(&command), r"handbell pub project.stories 'it'\''s {}' ''");
    }

    #[test]
    fn a_program_that_fails_and_one_that_is_missing_are_told_apart() {
        let failed = quietly(&mut Command::new("false")).expect_err("it fails").to_string();
        assert!(failed.contains("`false` failed"), "{failed}");
        let missing = quietly(&mut Command::new("no-such-program")).expect_err("it is missing").to_string();
        assert!(missing.contains("failed to start `no-such-program`"), "{missing}");
    }
}
