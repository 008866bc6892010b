//! What a member has to do with one partition, from looking at its cursor to
//! giving it up.
//!
//! | phase | on | becomes |
//! |---|---|---|
//! | `Free` | the view gives it to this member | `Loading` |
//! | `Free` | verdicts of deliveries from before wait | `Loading`, `Editing` |
//! | `Loading` | nobody has it: released, no cursor, its holder is gone | `Held` |
//! | `Loading` | somebody has it | `Watching` |
//! | `Watching` | time, its holder's word, its holder is gone | `Loading` |
//! | `Held` | a store is fenced | `Free` |
//! | `Held` | the view gives it to another, or drain | `Editing` (the release) |
//! | `Editing` | stored, fenced | `Free` |

use handbell_backend::Partition;
use handbell_protocol::Timestamp;

use crate::{
    MemberId, Output, Request,
    away::{Step, Verdicts},
    member::Member,
    window::Window,
};

mod edit;
mod look;

use edit::Editing;

#[derive(Debug)]
pub(crate) struct Seat {
    partition: Partition,
    phase: Phase,
    pub(crate) verdicts: Verdicts,
    /// For when the clock is set on account of the verdicts.
    alarm: Timestamp,
}

#[derive(Debug)]
enum Phase {
    Free,
    Loading { request: Request },
    Watching { holder: Option<MemberId>, at: Timestamp },
    Held(Box<Window>),
    Editing(Box<Editing>),
}

impl Seat {
    pub(crate) fn new(partition: Partition) -> Self {
        Self { partition, phase: Phase::Free, verdicts: Verdicts::default(), alarm: Timestamp::default() }
    }

    pub(crate) fn window(&mut self) -> Option<&mut Window> {
        if let Phase::Held(window) = &mut self.phase { Some(window) } else { None }
    }

    pub(crate) fn held(&self) -> Option<&Window> {
        if let Phase::Held(window) = &self.phase { Some(window) } else { None }
    }

    /// Nothing of it is under way or waits.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Free) && self.verdicts.pending.is_empty()
    }

    /// Does what can be done by now.
    pub(crate) fn pump(&mut self, member: &mut Member, now: Timestamp, out: &mut Vec<Output>) {
        let wanted = member.wants(self.partition);
        self.adopt(member, now, out);
        match &mut self.phase {
            Phase::Held(window) => {
                if !wanted {
                    window.begin_release(out);
                }
                window.pump(member, now, out);
                self.try_release(member, out);
            }
            Phase::Editing(editing) => {
                if editing.again.is_some_and(|at| at <= now) {
                    editing.store(self.partition, member, out);
                }
            }
            Phase::Loading { .. } => {}
            Phase::Watching { holder, at } => {
                let gone = holder.as_ref().is_some_and(|holder| !member.is_there(holder));
                if !wanted {
                    self.phase = Phase::Free;
                } else if gone || *at <= now {
                    return self.load(member, out);
                }
                self.pump_verdicts(member, now, out);
            }
            Phase::Free if wanted => self.load(member, out),
            Phase::Free => self.pump_verdicts(member, now, out),
        }
    }

    fn load(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        let request = member.request();
        self.phase = Phase::Loading { request };
        out.push(Output::Load { request, partition: self.partition });
    }

    fn pump_verdicts(&mut self, member: &mut Member, now: Timestamp, out: &mut Vec<Output>) {
        let claimable = member.owners.get(&self.partition).is_some_and(|owner| owner != member.me());
        match self.verdicts.step(member, now, claimable, out) {
            None => {}
            Some(Step::Wait(at)) if at == self.alarm => {}
            Some(Step::Wait(at)) => {
                self.alarm = at;
                member.look_at(self.partition, at);
            }
            Some(Step::Load) => self.load(member, out),
            Some(Step::Edit(cursor, version)) => self.edit(member, now, cursor, version, out),
        }
    }
}
