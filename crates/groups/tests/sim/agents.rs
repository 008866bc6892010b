//! What agents do with their deliveries.

use std::time::Duration;

use handbell_groups::{Input, Leave, Token, Verdict};

use super::{
    event::Act,
    process::Process,
    world::{Action, Step, World},
};

impl World {
    pub(super) fn plan_act(&mut self, process: usize, token: Token, event: usize) {
        let event = &mut self.events[event];
        let mut act = event.script.pop_front().unwrap_or_else(|| event.then.clone());
        if self.calm && !matches!(act, Act::KillProcess(_) | Act::KillConsumer(_)) {
            act = Act::Ack(1);
        }
        let after = match act {
            Act::Ack(after) | Act::Reject(after) | Act::Release(after) => after,
            Act::KillConsumer(after) | Act::KillProcess(after) => after,
            Act::Nack { after, .. } | Act::Extend { after, .. } => after,
            Act::Silent => return,
        };
        self.at(self.now + after, Action::Act(process, token, Step::Act(act)));
    }

    pub(super) fn act(&mut self, process: usize, token: Token, step: Step) {
        let Some(out) = self.processes[process].out.get(&token).cloned() else { return };
        let act = match step {
            Step::Act(act) => act,
            Step::Verdict(verdict) => return self.settle(process, token, verdict),
        };
        match act {
            Act::Ack(_) => self.settle(process, token, Verdict::Ack),
            Act::Release(_) => self.settle(process, token, Verdict::Release),
            Act::Reject(_) => self.settle(process, token, Verdict::Reject { reason: "no\n".into() }),
            Act::Nack { class, delay, .. } => {
                let delay = delay.map(Duration::from_millis);
                self.settle(process, token, Verdict::Nack { class: class.into(), reason: "busy".into(), delay });
            }
            Act::Extend { lease, ack, .. } => {
                let lease = Duration::from_millis(lease);
                self.input(process, Input::Extend { consumer: out.consumer, token, lease });
                self.at(self.now + ack, Action::Act(process, token, Step::Verdict(Verdict::Ack)));
            }
            Act::Silent => {}
            Act::KillConsumer(_) => {
                self.left(process, out.consumer, Leave::Lost);
                let at = self.now + self.random.between(1, 500);
                self.at(at, Action::Rejoin(process));
            }
            Act::KillProcess(_) => self.crash(process),
        }
    }

    /// A consumer's word; it has no more say afterwards.
    pub(crate) fn settle(&mut self, process: usize, token: Token, verdict: Verdict) {
        let Some(out) = self.processes[process].out.remove(&token) else { return };
        self.note_verdict(process, token, &out, &verdict);
        self.input(process, Input::Settle { consumer: out.consumer, verdicts: vec![(token, verdict)] });
    }

    /// The delivery of an event that is out now.
    pub(crate) fn out(&self, event: usize) -> Option<(usize, Token)> {
        let of = |process: &Process| process.out.iter().find(|(_, out)| out.event == event).map(|(token, _)| *token);
        self.processes.iter().enumerate().find_map(|(index, process)| of(process).map(|token| (index, token)))
    }
}
