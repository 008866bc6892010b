//! Who plays: the example agents, and Handbell's own CLI in the place of one
//! whose language is missing.

use std::process::Command;
use std::time::{Duration, Instant};

use super::handbell::{self, Handbell};
use super::stage::{Happening, Stage};
use crate::problem::Problem;
use crate::repo::Repo;
use crate::runtimes::{Node, Python, Runtimes};

const DESIGNER: &str = "/api-designer";
const FRONTEND: &str = "/frontend";
/// Until all have joined their groups.
const ENTRANCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(100);

/// Which agents are real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    Both,
    /// The designer alone: the chain ends with its design.
    Python,
    /// The frontend; the CLI publishes the design and answers for the designer.
    JavaScript,
}

impl Cast {
    pub(super) fn of(runtimes: &Runtimes) -> Self {
        match (&runtimes.python, &runtimes.node) {
            (Some(_), None) => Self::Python,
            (None, _) => Self::JavaScript,
            _ => Self::Both,
        }
    }

    /// What starts it all, in words.
    pub(super) fn opening(self) -> &'static str {
        match self {
            Self::Both => {
                "A user story is approved: one event, published from the command line, and the agents do the rest"
            }
            Self::Python => {
                "A user story is approved: one event, published from the command line, and the Python agent answers it"
            }
            Self::JavaScript => {
                "An API is designed: one event, published from the command line, and the JavaScript agent builds on it"
            }
        }
    }

    /// Those who end by themselves when their work is done.
    pub(super) fn agents(self) -> Vec<&'static str> {
        match self {
            Self::Both | Self::JavaScript => vec![DESIGNER, FRONTEND],
            Self::Python => vec![DESIGNER],
        }
    }

    /// Whether nothing comes after this line, though nobody ends by himself.
    pub(super) fn ends_with(self, line: &str) -> bool {
        self == Self::Python && line.starts_with("/api-designer: design stored")
    }

    /// What `NOUN list` must show before the first event: a group gets what
    /// is published after it was made.
    fn entered(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Both => &[("group", "designers"), ("group", "frontends")],
            Self::Python => &[("group", "designers")],
            Self::JavaScript => &[("agent", DESIGNER), ("group", "frontends")],
        }
    }
}

/// Starts the agents and waits until each is where it belongs.
pub(super) fn enter(
    repo: &Repo,
    stage: &mut Stage,
    handbell: &Handbell,
    runtimes: &Runtimes,
    cast: Cast,
) -> Result<(), Problem> {
    match &runtimes.python {
        Some(python) => stage.start(DESIGNER, &mut designer(repo, python, &handbell.agents[0]))?,
        None => stage.start(DESIGNER, &mut stand_in(handbell))?,
    }
    if let Some(node) = &runtimes.node {
        stage.start(FRONTEND, &mut frontend(repo, node, &handbell.agents[1]))?;
    }
    let deadline = Instant::now() + ENTRANCE;
    for (noun, name) in cast.entered() {
        while !handbell.lists(noun, name)? {
            if Instant::now() > deadline {
                return Err(Problem::new(format!("`handbell {noun} list` still lacks {name}")));
            }
            listen(stage)?;
        }
    }
    listen(stage)
}

/// Repeats what is said, until nothing is for a moment.
fn listen(stage: &mut Stage) -> Result<(), Problem> {
    while let Some(happening) = stage.next(GLANCE)? {
        match happening {
            Happening::Said { line, .. } => println!("    {line}"),
            Happening::Ended { who, .. } => return Err(ended_early(who)),
        }
    }
    Ok(())
}

/// The problem when someone leaves who should stay.
pub(super) fn ended_early(who: &str) -> Problem {
    match who {
        handbell::NAME => Problem::new("handbell ended in the middle of the demo"),
        _ => Problem::new(format!("{who} ended before its work was done")),
    }
}

/// Publishes the first event and says its ID.
pub(super) fn begin(handbell: &Handbell, cast: Cast) -> Result<String, Problem> {
    let story = r#"{"story":"As a reader I see all items"}"#;
    let design = r#"{"story":"As a reader I see all items","paths":["GET /items"]}"#;
    let (topic, agent, kind, payload) = match cast {
        Cast::JavaScript => ("project.designs", DESIGNER, "APIDesignCompleted", design),
        _ => ("project.stories", "/product-owner", "UserStoryApproved", story),
    };
    let args = ["pub", topic, "--agent", agent, "--type", kind, "--key", "items", payload];
    handbell.publish(handbell.at_sidecar(1, args))
}

fn designer(repo: &Repo, python: &Python, url: &str) -> Command {
    let mut command = repo.command(&python.interpreter);
    command.arg("examples/python/agent.py").env("HANDBELL_URL", url).env("HANDBELL_ONCE", "1");
    command
}

fn frontend(repo: &Repo, node: &Node, url: &str) -> Command {
    let mut command = repo.command("node");
    command.arg("examples/javascript/agent.js").env("HANDBELL_URL", url).env("HANDBELL_ONCE", "1");
    command.env("NODE_PATH", &node.modules);
    command
}

fn stand_in(handbell: &Handbell) -> Command {
    let mut command = handbell.at_sidecar(0, ["respond", "--once", "--agent", DESIGNER]);
    command.args(["--", "echo", r#"{"answer":"50 a page"}"#]);
    command
}
