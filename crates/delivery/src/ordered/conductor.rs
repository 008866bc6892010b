//! The task that tells the machine what happens by itself: time, who is
//! there, and what other members say.

use std::sync::Arc;

use handbell_groups::{Input, Word};
use tokio::time::sleep_until;

use super::runner::Runner;
use crate::{MemberId, View, members::Handover};

/// What of a view concerns a group: the members, and those that share its work.
type Concern = (Vec<MemberId>, Vec<MemberId>);

/// Runs until nothing is left to do: no consumers, no partitions, nothing under way.
pub(super) async fn run(runner: Arc<Runner>) {
    let mut views = runner.around.members.watch();
    let mut words = runner.around.members.handovers(&runner.group);
    let mut seen = None;
    views.mark_changed();
    loop {
        let deadline = next(&runner);
        tokio::select! {
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                let view = views.borrow_and_update().clone();
                look(&runner, &view, &mut seen);
            }
            Some(word) = words.recv() => runner.tell_all(told(word)),
            () = at(deadline) => runner.tell(Input::Tick),
            () = runner.conduct.notified() => {}
        }
        if runner.end_if_idle() {
            return;
        }
    }
}

/// Members come and go seldom, their agents often: only the first concern a group.
fn look(runner: &Arc<Runner>, view: &View, seen: &mut Option<Concern>) {
    let there = view.members().map(|(member, _)| member.clone()).collect();
    let sharing = view.sharing(&runner.group).cloned().collect();
    let concern = Some((there, sharing));
    if *seen != concern {
        *seen = concern;
        runner.tell(runner.view_input(view));
    }
}

fn next(runner: &Runner) -> Option<tokio::time::Instant> {
    let mut state = runner.state();
    let next = state.machine.next_deadline().map(|at| runner.clock.instant(at));
    state.looks_at = next;
    next
}

fn told(word: Handover) -> Option<Input> {
    let from = word.from;
    Word::from_text(&word.body).map(|word| Input::Told { from, word })
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
