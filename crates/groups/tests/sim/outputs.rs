//! What a process wants done, done by the broker: late, in doubt, lost or
//! twice, as the settings say.

use std::time::Duration;

use bytes::Bytes;
use handbell_backend::{CellVersion, Outgoing, Partition, PublishError};
use handbell_groups::{Input, MemberId, Output, Request, StoreResult, Verdict, Word};

use super::{
    event::index_of,
    process::Out,
    world::{Action, Io, World},
};

impl World {
    pub(super) fn output(&mut self, process: usize, output: Output) {
        match output {
            Output::Load { request, partition } => self.io(process, Io::Load(request, partition)),
            Output::Store { request, partition, value, expected } => {
                self.store(process, request, partition, value, expected);
            }
            Output::Fetch { request, positions } => self.io(process, Io::Fetch(request, positions)),
            Output::Publish { request, outgoing } => self.publish_of(process, request, outgoing),
            Output::Open { reading, begin } => self.processes[process].open(&mut self.broker, reading, begin),
            Output::Close { reading } => drop(self.processes[process].readings.remove(&reading)),
            Output::Deliver { consumer, token, record, attempt } => {
                let event = index_of(&record.envelope);
                self.check_delivery(process, event, &record, attempt);
                let alone = self.is_alone(process, event);
                self.processes[process].out.insert(token, Out { event, consumer, attempt, since: self.now, alone });
                self.delivered.push((event, attempt));
                self.plan_act(process, token, event);
            }
            Output::Settled { token, .. } => self.check_settled(process, token),
            Output::Gone { token, .. } => drop(self.verdicts.remove(&(process, token))),
            Output::Revoked { token, .. } => {
                if let Some(out) = self.processes[process].out.remove(&token) {
                    self.events[out.event].failures += 1;
                    self.events[out.event].mistreated = true;
                } else if let Some(said) = self.verdicts.get(&(process, token)) {
                    // The verdict came too late, as after a pause.
                    let counted = !matches!(said.verdict, Verdict::Ack | Verdict::Release);
                    self.events[said.event].failures += u32::from(!counted);
                    self.events[said.event].mistreated = true;
                }
            }
            Output::Gap(_) => self.gaps += 1,
            Output::Tell { to, word } => self.tell(process, &to, word),
            Output::Alarm(alarm) => self.alarms.push(alarm),
            Output::Held { .. } | Output::Released { .. } => {}
        }
    }

    fn io(&mut self, process: usize, io: Io) {
        self.soon(Action::Execute(process, io));
    }

    fn answer(&mut self, process: usize, input: Input) {
        self.soon(Action::Input(process, input));
    }

    /// Stores of one process on one cell take effect in their order. One in
    /// doubt happens, or doesn't, or happens later.
    fn store(
        &mut self,
        process: usize,
        request: Request,
        partition: Partition,
        value: Bytes,
        expected: Option<CellVersion>,
    ) {
        let mut at = self.now + self.random.between(self.settings.latency.0, self.settings.latency.1);
        let doubt = self.random.chance(self.settings.in_doubt);
        if doubt {
            self.at(at + 5, Action::Input(process, Input::Stored { request, result: StoreResult::InDoubt }));
            match self.random.below(3) {
                0 => return,
                1 => {}
                _ => at += self.random.between(1, 300),
            }
        }
        let last = self.stores.entry((process, partition)).or_default();
        at = at.max(*last);
        *last = at;
        self.at(at, Action::Execute(process, Io::Store(request, partition, value, expected, !doubt)));
    }

    fn publish_of(&mut self, process: usize, request: Request, outgoing: Box<Outgoing>) {
        if self.refused == Some(outgoing.class) {
            let error = PublishError::Refused("no permission".into());
            return self.answer(process, Input::Published { request, result: Err(error) });
        }
        if self.random.chance(self.settings.in_doubt) {
            let error = match self.random.below(3) {
                0 => PublishError::Busy { retry_after: Duration::from_millis(10) },
                1 => PublishError::Unavailable("down".into()),
                _ => PublishError::InDoubt("timed out".into()),
            };
            if error.is_in_doubt() && self.random.chance(50) {
                let at = self.now + self.random.between(1, 2_000);
                self.at(at, Action::Execute(process, Io::Publish(request, outgoing, false)));
            }
            return self.answer(process, Input::Published { request, result: Err(error) });
        }
        self.io(process, Io::Publish(request, outgoing, true));
    }

    pub(super) fn execute(&mut self, process: usize, io: Io) {
        match io {
            Io::Load(request, partition) => {
                let cursor = self.broker.cells.get(&partition).cloned();
                let ends = self.broker.ends(partition);
                self.answer(process, Input::Loaded { request, cursor, ends });
            }
            Io::Store(request, partition, value, expected, told) => {
                let result = self.compare_and_set(partition, value, expected);
                if told {
                    self.answer(process, Input::Stored { request, result });
                }
            }
            Io::Fetch(request, positions) => {
                let records = positions.iter().map(|position| self.broker.fetch(position)).collect();
                self.answer(process, Input::Fetched { request, records });
            }
            Io::Publish(request, outgoing, told) => {
                let stored = self.broker.publish(self.now, *outgoing);
                self.poll_all();
                if told {
                    self.answer(process, Input::Published { request, result: Ok(stored) });
                }
            }
        }
    }

    fn compare_and_set(&mut self, partition: Partition, value: Bytes, expected: Option<CellVersion>) -> StoreResult {
        let have = self.broker.cells.get(&partition).map(|(_, version)| *version);
        if have != expected {
            return StoreResult::Fenced;
        }
        let version = CellVersion(have.map_or(1, |version| version.0 + 1));
        self.check_cursor(partition, &value);
        self.broker.cells.insert(partition, (value, version));
        StoreResult::Stored(version)
    }

    /// A word may get lost, and may come twice.
    fn tell(&mut self, from: usize, to: &MemberId, word: Word) {
        let text = word.to_text();
        let Some(to) = self.processes.iter().position(|process| process.id == *to) else { return };
        let id = self.processes[from].id.clone();
        let copies = if self.random.chance(self.settings.word_loss) { self.random.below(3) } else { 1 };
        for _ in 0..copies {
            let word = Word::from_text(&text).expect("a word reads back");
            self.answer(to, Input::Told { from: id.clone(), word });
        }
    }
}
