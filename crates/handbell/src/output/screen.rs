//! Standard output in the form that was asked for.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;
use serde_json::Value as Json;

use super::{
    item::Item,
    table::{Column, Look, table},
};
use crate::{
    cli::{Colour, Format, Shared},
    failure::{Done, Failure},
};

/// What a coloured word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warning,
    Bad,
}

impl Tone {
    const fn code(self) -> u8 {
        match self {
            Self::Good => 32,
            Self::Warning => 33,
            Self::Bad => 31,
        }
    }
}

/// Where and how answers are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    look: Look,
}

impl Screen {
    pub(crate) fn new(shared: &Shared) -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = match shared.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { format: shared.format(), quiet: shared.quiet, look: Look { terminal, colour } }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.look.terminal
    }

    /// Whether errors on standard error may be coloured.
    pub(crate) fn colours_logs(&self) -> bool {
        self.look.colour && io::stderr().is_terminal()
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A word in the colour of its meaning, where there is colour.
    pub(crate) fn paint(&self, word: &str, tone: Tone) -> String {
        match self.look.colour {
            true => format!("\x1b[{}m{word}\x1b[0m", tone.code()),
            false => word.to_owned(),
        }
    }

    /// One line of text.
    pub(crate) fn line(&self, text: &str) -> Done {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| broken(&error))
    }

    /// One value as one line of JSON, whatever the format.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Done {
        self.line(&serde_json::to_string(value).expect("answers have text keys, so they can be written"))
    }

    /// Several things.
    pub(crate) fn list(&self, items: &[Item], columns: &[Column], name: &str) -> Done {
        match self.format {
            Format::Table => self.table(items, columns, false),
            Format::Wide => self.table(items, columns, true),
            Format::Name => items.iter().try_for_each(|item| self.line(&name_of(item, name))),
            Format::Json | Format::Yaml => self.item(&Item::of(&BTreeMap::from([("items", items)]))),
        }
    }

    /// One thing with all that is known of it.
    pub(crate) fn show(&self, item: &Item, name: &str) -> Done {
        match self.format {
            Format::Name => self.line(&name_of(item, name)),
            _ => self.item(item),
        }
    }

    /// As it was written, in JSON; a terminal gets it laid out where that
    /// changes nothing. In YAML, what doesn't fit stands as its text.
    pub(crate) fn item(&self, item: &Item) -> Done {
        match self.format {
            Format::Json if self.look.terminal && item.is_exact() => self.value(item.value()),
            Format::Json => self.line(item.raw()),
            _ => self.yaml(item.value()),
        }
    }

    /// A value in JSON, or in YAML for everything else.
    pub(crate) fn value(&self, value: &Json) -> Done {
        match self.format {
            Format::Json if self.look.terminal => self.line(&format!("{value:#}")),
            Format::Json => self.line(&value.to_string()),
            _ => self.yaml(value),
        }
    }

    fn yaml(&self, value: &Json) -> Done {
        let text = serde_yaml_ng::to_string(value).expect("answers have text keys, so they can be written");
        self.line(text.trim_end())
    }

    fn table(&self, items: &[Item], columns: &[Column], wide: bool) -> Done {
        match items.is_empty() {
            true if self.quiet => Ok(()),
            true => self.line("none"),
            false => self.line(&table(items, columns, wide, self.look)),
        }
    }
}

/// A line on standard error, beside the answer. Nobody is left to tell when
/// it can't be written.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

fn name_of(item: &Item, pointer: &str) -> String {
    item.value().pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// A reader that has seen enough (`| head`) is no error to talk about.
fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::unread(),
        _ => {
            let what = format!("it can't be written: {error}");
            Failure::failed(what, "standard output", "see where it leads to")
        }
    }
}
