//! `docs/cli.md`: every command as its `--help` says it.
//! `HANDBELL_BLESS=1 cargo test -p handbell` writes it again.

use std::{fs, path::Path};

use clap::{Command, CommandFactory};

use super::Cli;

const WIDTH: usize = 100;
const HEAD: &str = "\
# The command line

Made from the program's own definition: this is what `handbell COMMAND --help` prints. The names are explained in
[surface.md](surface.md). `man`, at the end, is for packagers; `handbell --help` leaves it out.
";
/// Sections that many commands share; they stand once.
const SHARED: [&str; 2] = ["Flags of all commands:", "Which one is asked:"];

fn reference() -> String {
    let mut root = Cli::command().term_width(WIDTH).max_term_width(WIDTH);
    root.build();
    let mut text = HEAD.to_owned();
    let pub_help = root.find_subcommand("pub").expect("there is one").clone().render_help().to_string();
    for title in SHARED {
        let section = blocks(&pub_help).into_iter().find(|block| block.starts_with(title)).expect("pub has it");
        let heading = title.trim_end_matches(':');
        text.push_str(&format!("\n## {heading}\n```\n{}\n```\n", section.split_once('\n').expect("flags follow").1));
    }
    root.get_subcommands().for_each(|command| leaves(command, "handbell", &mut text));
    text
}

fn leaves(command: &Command, above: &str, text: &mut String) {
    let path = format!("{above} {}", command.get_name());
    if command.has_subcommands() {
        return command.get_subcommands().for_each(|inner| leaves(inner, &path, text));
    }
    let help = command.clone().render_help().to_string();
    let own = blocks(&help).into_iter().filter(|block| !SHARED.iter().any(|title| block.starts_with(title)));
    let own: Vec<&str> = own.collect();
    text.push_str(&format!("\n## `{path}`\n```\n{}\n```\n", own.join("\n\n")));
}

fn blocks(help: &str) -> Vec<&str> {
    help.trim_end().split("\n\n").collect()
}

#[test]
fn the_documented_commands_are_of_this_build() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let expected: String = reference().lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if std::env::var_os("HANDBELL_BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == expected,
        "docs/cli.md is not of this build; HANDBELL_BLESS=1 cargo test -p handbell writes it"
    );
}
