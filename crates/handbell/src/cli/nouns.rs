//! Nouns: `topic`, `agent`, `group`, `event`, each with `list` and `show`.

use clap::{Args, Subcommand};
use handbell_protocol::TopicPattern;

use super::{Reach, values::count};

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noun {
    Topic,
    Agent,
    Group,
}

/// `list` and `show` of a noun.
#[derive(Debug, Subcommand)]
pub(crate) enum NounCommand {
    /// List them
    #[command(visible_aliases = ["ls", "get"])]
    List(ListArgs),
    /// Show one with all that is known of it
    #[command(visible_alias = "describe")]
    Show(ShowArgs),
}

/// Flags of `list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell topic list
  handbell group list -o wide
  handbell agent list -l pools=builders -o name")]
pub(crate) struct ListArgs {
    /// Only those with these values: key=value[,…]
    #[arg(short = 'l', long, value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "1000", hide_default_value = true, value_parser = count)]
    pub(crate) limit: usize,
    /// Print again whenever something changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// Flags of `show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell topic show project.tasks
  handbell group show reviewers -o yaml")]
pub(crate) struct ShowArgs {
    /// Its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `event list` and `event show`.
#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// List events, oldest first; without --all the newest ones
    #[command(visible_aliases = ["ls", "get"])]
    List(EventFilter),
    /// Show one event with its payload
    #[command(visible_alias = "describe")]
    Show(ShowArgs),
}

/// Flags of `event list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell event list                                  the newest 50
  handbell event list --correlation evt-… --all        a whole chain
  handbell event list --topic 'project.>' --type TaskFailed --since 2h -o json")]
pub(crate) struct EventFilter {
    /// Of that chain
    #[arg(long, value_name = "ID", visible_alias = "correlation-id")]
    pub(crate) correlation: Option<String>,
    /// Of that type; X and XEvent are one
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Of that agent
    #[arg(long, value_name = "AGENT")]
    pub(crate) source: Option<String>,
    /// On that topic, or on topics that match that pattern
    #[arg(long, value_name = "TOPIC", value_parser = TopicPattern::parse)]
    pub(crate) topic: Option<TopicPattern>,
    /// Stored then or later: an RFC 3339 time, or a duration ago (2h)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Stored before
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// With that text in the ID, type, source or payload
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Only those with these values: type=X,source=/a,topic=t,correlation_id=c
    #[arg(short = 'l', long, value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// At most so many: the newest
    #[arg(long, value_name = "N", default_value = "50", conflicts_with = "all", value_parser = count)]
    pub(crate) limit: usize,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
    /// Print again whenever something changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}
