//! What can be typed. Owns the names of commands and flags and their help;
//! knows nothing of what they do.

mod agents;
mod bench;
mod flags;
mod help;
mod nouns;
#[cfg(test)]
mod reference;
mod running;
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod usage;
mod values;

use clap::{Parser, Subcommand};

pub(crate) use agents::{Begin, PubArgs, RequestArgs, RespondArgs, SubArgs};
pub(crate) use bench::{BenchArgs, BenchPart};
pub(crate) use help::{CompletionsArgs, DoctorArgs, ManArgs};
pub(crate) use nouns::{EventCommand, EventFilter, ListArgs, Noun, NounCommand, ShowArgs};
pub(crate) use running::{BackendName, DevArgs, RunFlags, SidecarArgs};
pub(crate) use settings::{ConfigCommand, SchemaForm};
pub(crate) use shared::{Colour, Format, Reach, Shared};
pub(crate) use usage::{Parsed, parse, wants_json};

const ABOUT: &str = "Lets AI agents, in any language, work together through events";
const EXAMPLES: &str = "\
Examples:
  handbell dev                                    everything in one process, no broker
  handbell sub 'project.*' --follow               watch what agents publish
  handbell pub project.tasks --type TaskStartedEvent '{\"task_id\":\"T1\"}'
  handbell event list --correlation evt-…         everything that followed from one event

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused by policy,
4 not reachable, 130 interrupted.";

/// Handbell's command line.
#[derive(Debug, Parser)]
#[command(name = "handbell", version, about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true)]
#[command(disable_help_subcommand = true, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process on the embedded log
    Dev(DevArgs),
    /// Run a sidecar in front of a broker
    Sidecar(SidecarArgs),
    /// Publish one event
    Pub(PubArgs),
    /// Receive events of topics
    Sub(SubArgs),
    /// Ask an agent and wait for its answer
    Request(RequestArgs),
    /// Answer requests
    Respond(RespondArgs),
    /// Topics: declared, or with events
    #[command(
        subcommand,
        visible_alias = "topics",
        after_help = "Examples:\n  handbell topic list\n  handbell topic show project.tasks"
    )]
    Topic(NounCommand),
    /// Agents that are attached now
    #[command(
        subcommand,
        visible_alias = "agents",
        after_help = "Examples:\n  handbell agent list -o wide\n  handbell agent show /backend-architect"
    )]
    Agent(NounCommand),
    /// Durable groups and where they stand
    #[command(
        subcommand,
        visible_alias = "groups",
        after_help = "LAG: events that it has not handed out yet. UNSETTLED: handed out and not settled, also while\nnobody holds them. SIDECARS: on how many somebody consumes; with 0, nobody works on either.\n\nExamples:\n  handbell group list\n  handbell group show reviewers -o yaml"
    )]
    Group(NounCommand),
    /// Events in the log
    #[command(
        subcommand,
        visible_alias = "events",
        after_help = "Examples:\n  handbell event list --since 2h\n  handbell event show evt-…"
    )]
    Event(EventCommand),
    /// Check, print or describe the configuration
    #[command(
        subcommand,
        after_help = "Examples:\n  handbell config check --config handbell.yaml\n  handbell config print"
    )]
    Config(ConfigCommand),
    /// Measure how fast a sidecar is and what it needs
    Bench(BenchArgs),
    /// Print the version of this program and of the one that runs
    Version(VersionArgs),
    /// Look at what runs, the configuration and this machine, and say what to do
    Doctor(DoctorArgs),
    /// Print a shell's completions
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Man(ManArgs),
}

/// `version`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  handbell version -o json")]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// Only this program's, without asking the one that runs
    #[arg(long)]
    pub(crate) client: bool,
}
