//! Commands that help: `doctor`, `completions`, `man`.

use std::path::PathBuf;

use clap::Args;

use super::Reach;

/// `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell doctor
  handbell doctor --config handbell.yaml -o json
  handbell doctor --url http://127.0.0.1:7711

Each line is ok, warn or fail; below what isn't ok stands what to do. It exits with 1 when
something has failed. It changes nothing.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell completions bash > ~/.local/share/bash-completion/completions/handbell
  handbell completions zsh > ~/.zfunc/_handbell            (a folder of $fpath)
  handbell completions fish > ~/.config/fish/completions/handbell.fish
  handbell completions powershell >> $PROFILE
  handbell completions elvish >> ~/.config/elvish/rc.elv

At each Tab the shell asks this program, so names of topics, agents and groups are completed
too while a Handbell answers at HANDBELL_URL or at the configured admin address.")]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell man | man -l -
  handbell man --dir /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// A page for each command goes here; without it, the first page is printed
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}
