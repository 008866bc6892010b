//! `--set section.key=value`: a TOML value where it parses as one, else text.

use super::toml;
use crate::config::{
    node::{Node, Origin},
    problem::Problem,
};

/// The tree of one `--set`.
pub(crate) fn from_set(argument: &str) -> Result<Node, Problem> {
    let (key, value) = split(argument).ok_or_else(|| bad(argument, "it has no '='"))?;
    let path = toml::read_key(key.trim()).ok_or_else(|| bad(key, "the key can't be read"))?;
    let origin = Origin::Set(key.trim().to_owned());
    let leaf = toml::read_value(value.trim(), &origin).unwrap_or_else(|| Node::text(value, origin));
    Ok(Node::nested(&path, leaf))
}

/// At the first `=` outside quotes.
fn split(argument: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let at = argument.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '=') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        None
    })?;
    Some((&argument[..at], &argument[at + 1..]))
}

fn bad(argument: &str, why: &str) -> Problem {
    Problem {
        what: format!("{argument:?} is no setting: {why}"),
        place: "--set".into(),
        how: r#"write section.key=value, with quotes around a part that has other characters: agents."/a".default_reply=1"#
            .into(),
    }
}
