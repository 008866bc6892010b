//! `cargo xtask demo`: two agents in two languages exchange events through two
//! sidecars, on a machine with nothing installed for it.
//!
//! Owns the order of events and the words around them; the agents are the
//! examples as they lie in `examples/`.

mod actors;
mod handbell;
mod narrator;
mod ready;
mod stage;

use std::time::{Duration, Instant};

use crate::problem::Problem;
use crate::repo::Repo;
use crate::runtimes::{self, Runtimes};
use crate::shell;
use actors::Cast;
use handbell::Handbell;
use narrator::Narrator;
use stage::{Happening, Stage};

/// From the first event to the last.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays the demo; whatever it started has ended when this returns.
pub(crate) fn run(repo: &Repo) -> Result<(), Problem> {
    println!("Handbell: agents that work together through events.\n");
    step(1, "See which languages this machine can run agents in");
    let runtimes = runtimes::prepare(repo)?;
    step(2, "Build handbell (the first time takes some minutes, nearly all of it libraries)");
    shell::run(&mut repo.cargo(["build", "--locked", "--package", "handbell", "--no-default-features"]))?;
    step(3, "Start handbell: no broker, an event log in this process, two sidecars on two ports");
    let mut stage = Stage::open()?;
    let handbell = Handbell::start(repo, &mut stage)?;
    let played = play(repo, &mut stage, &handbell, &runtimes);
    for who in stage.close() {
        println!("    {who} did not end by itself and was killed");
    }
    played.map_err(|problem| handbell.explain(problem))?;
    println!("\nDone, and everything that this started has ended; its log is deleted.");
    println!("Now yourself: `{} dev`, and README.md for what to say to it.", repo.typed(&repo.handbell()));
    Ok(())
}

fn play(repo: &Repo, stage: &mut Stage, handbell: &Handbell, runtimes: &Runtimes) -> Result<(), Problem> {
    let cast = Cast::of(runtimes);
    step(4, "Start the agents, each at a sidecar of its own");
    actors::enter(repo, stage, handbell, runtimes, cast)?;
    step(5, cast.opening());
    let chain = actors::begin(handbell, cast)?;
    println!("    Its ID, {chain}, is the correlation ID of all that follows.\n");
    watch(stage, cast)?;
    step(6, "The chain: every event that followed from the first, as the log has it");
    shell::run(&mut handbell.chain(&chain))
}

/// Repeats what the agents say, with what it means, until they are done.
fn watch(stage: &mut Stage, cast: Cast) -> Result<(), Problem> {
    let mut narrator = Narrator::default();
    let mut still_here = cast.agents();
    let deadline = Instant::now() + PATIENCE;
    while !still_here.is_empty() {
        match stage.next(deadline.saturating_duration_since(Instant::now()))? {
            Some(Happening::Said { line, .. }) => {
                narrator.tell(&line);
                if cast.ends_with(&line) {
                    return Ok(());
                }
            }
            Some(Happening::Ended { who, ok: true }) if still_here.contains(&who) => still_here.retain(|it| *it != who),
            Some(Happening::Ended { who, .. }) => return Err(actors::ended_early(who)),
            None => {
                return Err(Problem::new(format!(
                    "{} had not finished after {} s",
                    still_here.join(" and "),
                    PATIENCE.as_secs()
                )));
            }
        }
    }
    Ok(())
}

fn step(number: u32, what: &str) {
    println!("\n[{number}/6] {what}");
}
