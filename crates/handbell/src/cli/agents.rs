//! Agents' work by hand: `pub`, `sub`, `request`, `respond`.

use std::time::Duration;

use clap::Args;
use handbell_protocol::{AgentName, Segment, Target, Timestamp, TopicPattern, time::parse_duration};

use super::{
    Reach,
    values::{address, asked, count, deadline, filter, given},
};

/// `pub`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell pub project.tasks --type TaskStartedEvent '{\"task_id\":\"T1\"}'
  handbell pub project.tasks --type TaskCompletedEvent --key project-xyz - < payload.json
  handbell pub --to pool:builders --type BuildCommand '{\"ref\":\"main\"}'

When this returns with 0, the event is durable. With -o json it prints the `published` frame.")]
pub(crate) struct PubArgs {
    /// The topic; with --to the payload stands here
    #[arg(value_name = "TOPIC")]
    pub(crate) first: Option<String>,
    /// The payload as JSON, or - for standard input; null without it
    #[arg(value_name = "PAYLOAD")]
    pub(crate) second: Option<String>,
    /// Direct work: /agent, pool:NAME, capability:NAME or all
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) to: Option<Target>,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE", value_parser = given)]
    pub(crate) event_type: String,
    /// Events of one key keep their order
    #[arg(long, value_name = "KEY", value_parser = given)]
    pub(crate) key: Option<String>,
    /// low, normal, high or critical
    #[arg(long, value_name = "PRIORITY", value_parser = ["low", "normal", "high", "critical"])]
    pub(crate) priority: Option<String>,
    /// The chain that it belongs to
    #[arg(long, value_name = "ID", value_parser = given)]
    pub(crate) correlation: Option<String>,
    /// The agent that publishes
    #[arg(long, value_name = "AGENT", default_value = "/cli")]
    pub(crate) agent: AgentName,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `sub`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell sub 'project.>'                                 what is kept, then the end
  handbell sub project.tasks --follow --filter type=TaskFailed
  handbell sub project.tasks --group reviewers --ack -o json   takes work from a durable group

Without --follow it ends when it has caught up. Without --group every event is only looked at.
In a group what is printed is taken with --ack, and with -o json; else it is handed back when
the command ends, and at most 64 events are shown.")]
pub(crate) struct SubArgs {
    /// Topics and patterns: * is one segment, > as the last is one or more
    #[arg(value_name = "TOPIC", required = true, value_parser = TopicPattern::parse)]
    pub(crate) topics: Vec<TopicPattern>,
    /// A durable group: its work is shared with all others in it
    #[arg(long, value_name = "GROUP", value_parser = Segment::parse)]
    pub(crate) group: Option<Segment>,
    /// Which events: type=X,key=value or CEL
    #[arg(long, short = 'l', value_name = "FILTER", value_parser = filter)]
    pub(crate) filter: Option<String>,
    /// Where to begin: start, new, an RFC 3339 time, a duration ago (2h) or a position
    #[arg(long, value_name = "FROM", value_parser = Begin::parse)]
    pub(crate) from: Option<Begin>,
    /// Go on when caught up
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// In a group: take what is printed
    #[arg(long, requires = "group")]
    pub(crate) ack: bool,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) limit: Option<usize>,
    /// The agent that subscribes
    #[arg(long, value_name = "AGENT", default_value = "/cli")]
    pub(crate) agent: AgentName,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// Where a subscription begins, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Start,
    New,
    Time(Timestamp),
    Ago(Duration),
    Position(String),
}

impl Begin {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "new" => Ok(Self::New),
            position if position.starts_with("p1.") => Ok(Self::Position(position.into())),
            other => match (Timestamp::parse(other), parse_duration(other)) {
                (Ok(time), _) => Ok(Self::Time(time)),
                (_, Ok(ago)) => Ok(Self::Ago(ago)),
                _ => {
                    Err("it is no beginning; write start, new, a time like 2026-11-21T14:30:00Z, a duration like 2h, or a position".into())
                }
            },
        }
    }
}

/// `request`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell request /backend-architect '{\"question\":\"which schema?\"}'
  handbell request pool:builders --type BuildCommand --deadline 5m - < build.json

It prints the answer's payload; with -o json the `reply` frame. An answer that is an error, or
none within the deadline, exits with 1.")]
pub(crate) struct RequestArgs {
    /// Who is asked: /agent, pool:NAME or capability:NAME
    #[arg(value_name = "AGENT", value_parser = asked)]
    pub(crate) to: Target,
    /// The payload as JSON, or - for standard input; null without it
    #[arg(value_name = "PAYLOAD")]
    pub(crate) payload: Option<String>,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE", default_value = "Query", value_parser = given)]
    pub(crate) event_type: String,
    /// How long the answer may take: 1ms to 24h
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = deadline)]
    pub(crate) deadline: Duration,
    /// The agent that asks
    #[arg(long, value_name = "AGENT", default_value = "/cli")]
    pub(crate) agent: AgentName,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `respond`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  handbell respond --agent /upper -- tr a-z A-Z      the payload on stdin, its stdout is the answer
  handbell respond --agent /human                    shows each request and takes a line as the answer
  handbell respond --agent /b1 --pool builders --once -- ./build.sh

What a command prints is the answer's payload: as JSON where it is JSON, else as text. An exit
code other than 0 is an answer with status error.")]
pub(crate) struct RespondArgs {
    /// The agent that answers
    #[arg(long, value_name = "AGENT", default_value = "/cli")]
    pub(crate) agent: AgentName,
    /// A pool whose work it shares (repeatable)
    #[arg(long = "pool", value_name = "NAME", value_parser = Segment::parse)]
    pub(crate) pools: Vec<Segment>,
    /// What it can do (repeatable)
    #[arg(long = "capability", value_name = "NAME", value_parser = Segment::parse)]
    pub(crate) capabilities: Vec<Segment>,
    /// End after the first answer
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// The command that answers
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
