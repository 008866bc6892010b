//! The line that says that all is up.

use serde::Serialize;

use crate::{failure::Done, output::Screen};

/// What a person or a program needs to know to begin.
pub(super) struct Ready<'a> {
    pub(super) agents: Vec<String>,
    pub(super) admin: String,
    /// Where events are kept, in words.
    pub(super) store: &'a str,
}

impl Ready<'_> {
    /// One JSON line for a program, a few lines for a person at a terminal.
    pub(super) fn tell(&self, screen: Screen) -> Done {
        if screen.is_json() || !screen.is_terminal() {
            return screen.json_line(&Line { event: "ready", agents: &self.agents, admin: &self.admin });
        }
        if screen.quiet {
            return Ok(());
        }
        let agents = self.agents.join("  ");
        screen.line(&format!(
            "Handbell is ready.\n  agents  {agents}\n  admin   {}\n  events  {}",
            self.admin, self.store
        ))?;
        screen.line("Try: handbell sub '>' --follow   and in another terminal: handbell pub a.topic --type HelloEvent '{\"n\":1}'")
    }
}

/// What a program waits for.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    agents: &'a [String],
    admin: &'a str,
}
