//! `man`: the manual pages, made from the same definition as `--help`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{
    cli::{Cli, ManArgs},
    failure::{Done, Failure},
    output::Screen,
};

pub(crate) fn run(args: &ManArgs, screen: Screen) -> Done {
    let mut command = Cli::command();
    command.build();
    match &args.dir {
        None => screen.line(&page(&command)),
        Some(dir) => {
            fs::create_dir_all(dir).map_err(|error| not_written(dir, &error))?;
            write(&command, dir, screen)
        }
    }
}

/// The page of a command, then those of its commands.
fn write(command: &Command, dir: &Path, screen: Screen) -> Done {
    let path: PathBuf = dir.join(Man::new(command.clone()).get_filename());
    fs::write(&path, page(command) + "\n").map_err(|error| not_written(&path, &error))?;
    if !screen.quiet {
        screen.line(&path.display().to_string())?;
    }
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).try_for_each(|inner| write(inner, dir, screen))
}

fn page(command: &Command) -> String {
    let mut page = Vec::new();
    Man::new(command.clone()).manual("Handbell").render(&mut page).expect("a buffer takes everything");
    String::from_utf8_lossy(&page).trim_end().to_owned()
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    let what = format!("{} can't be written: {error}", path.display());
    Failure::failed(what, "--dir", "name a directory that this user can write in")
}
