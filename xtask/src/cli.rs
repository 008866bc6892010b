//! The command line: words to a command, nothing more.

use crate::problem::Problem;
use crate::test;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Demo,
    /// The names of the tiers asked for; empty means all that run by default.
    Test(Vec<String>),
    Tidy,
    Generate,
    Help,
}

/// The help text.
pub(crate) fn usage() -> String {
    let tiers = test::tiers().iter().map(|tier| tier.name).collect::<Vec<_>>().join("|");
    format!(
        "Usage: cargo xtask COMMAND\n\n  \
         demo                   two agents, in Python and in JavaScript, exchange events through two sidecars\n  \
         test [--tier {tiers}]…\n                         \
         everything that CI checks, or only the tiers named\n  \
         tidy                   dependency rules between crates, docs, file lengths, generated files\n  \
         generate               write the generated files again\n"
    )
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, Problem> {
    let mut args = args.into_iter();
    let command = match args.next().as_deref() {
        Some("demo") => Command::Demo,
        Some("test") => return parse_tiers(args).map(Command::Test),
        Some("tidy") => Command::Tidy,
        Some("generate") => Command::Generate,
        Some("help" | "-h" | "--help") => Command::Help,
        Some(other) => return Err(Problem::Usage(format!("there is no command `{other}`"))),
        None => return Err(Problem::Usage("a command is missing".into())),
    };
    match args.next() {
        None => Ok(command),
        Some(extra) => Err(Problem::Usage(format!("`{extra}` is one argument too many"))),
    }
}

fn parse_tiers(mut args: impl Iterator<Item = String>) -> Result<Vec<String>, Problem> {
    let mut tiers = Vec::new();
    while let Some(arg) = args.next() {
        let name = match (arg.as_str(), arg.strip_prefix("--tier=")) {
            ("--tier", _) => args.next().ok_or_else(|| Problem::Usage("--tier needs a name".into()))?,
            (_, Some(name)) => name.to_owned(),
            _ => return Err(Problem::Usage(format!("`test` doesn't know `{arg}`"))),
        };
        if !test::tiers().iter().any(|tier| tier.name == name) {
            return Err(Problem::Usage(format!("there is no tier `{name}`")));
        }
        tiers.push(name);
    }
    Ok(tiers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Problem> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_is_one_word() {
        assert_eq!(parsed("demo"), Ok(Command::Demo));
        assert!(matches!(parsed("demo now"), Err(Problem::Usage(_))));
        assert!(matches!(parsed("dance"), Err(Problem::Usage(_))));
        assert!(matches!(parsed(""), Err(Problem::Usage(_))));
    }

    #[test]
    fn tiers_can_be_named_several_times_and_in_both_forms() {
        assert_eq!(parsed("test"), Ok(Command::Test(vec![])));
        let both = Command::Test(vec!["style".into(), "tests".into()]);
        assert_eq!(parsed("test --tier style --tier=tests"), Ok(both));
    }

    #[test]
    fn an_unknown_tier_is_refused_before_anything_runs() {
        assert!(matches!(parsed("test --tier nonsense"), Err(Problem::Usage(_))));
        assert!(matches!(parsed("test --tier"), Err(Problem::Usage(_))));
    }
}
