//! The checker: what must hold at each output, at each store, and at the end.

use std::collections::BTreeMap;

use bytes::Bytes;
use handbell_backend::{Class, Partition, Record, header};
use handbell_groups::{Cursor, State, Suspicion, Token, UNSETTLED_MAX, Unsettled, Verdict};
use handbell_protocol::{Kind, frame::Order};

use super::{
    event::{Event, index_of},
    process::Out,
    world::World,
};

/// A verdict that waits to be told.
pub(crate) struct Said {
    pub(crate) event: usize,
    pub(crate) attempt: u32,
    pub(crate) verdict: Verdict,
    pub(crate) due: u64,
}

/// A verdict that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) process: usize,
    pub(crate) token: Token,
    pub(crate) event: usize,
}

impl World {
    fn violation(&mut self, what: String) {
        self.violations.push(format!("at {}: {what}", self.now));
    }

    // === what the cells say ===

    /// What the cell says of an event: where it lay first and in the retry channel.
    fn unsettled(&self, event: &Event) -> Vec<Unsettled> {
        let (Some(origin), Some(cursor)) = (&event.origin, self.cursors.get(&event.partition)) else { return vec![] };
        let is_it = |class: Class, one: &Unsettled| match class {
            Class::Retry => self.retry_origin(event, one.offset) == Some(&*event.origin_text),
            _ => one.offset == origin.offset,
        };
        let marks = cursor.marks.iter().filter(|mark| mark.position.lane == event.lane);
        marks
            .flat_map(|mark| mark.unsettled.iter().filter(move |one| is_it(mark.position.class, one)))
            .cloned()
            .collect()
    }

    fn retry_origin(&self, event: &Event, offset: u64) -> Option<&str> {
        let log = self.broker.row((Class::Retry, event.lane, event.partition))?;
        log.records.get(&offset)?.headers.get(header::ORIGIN)
    }

    fn mark(&self, event: &Event, class: Class) -> u64 {
        let marks = self.cursors.get(&event.partition).map(|cursor| &cursor.marks);
        let of = |mark: &&handbell_groups::Mark| mark.position.class == class && mark.position.lane == event.lane;
        marks.and_then(|marks| marks.iter().find(of)).map_or(0, |mark| mark.position.offset)
    }

    /// The failures that a retry above the mark tells.
    fn retries(&self, event: &Event) -> Vec<u32> {
        let mark = self.mark(event, Class::Retry);
        let log = self.broker.row((Class::Retry, event.lane, event.partition));
        let records = log.map(|log| log.records.range(mark + 1..).map(|(_, record)| record));
        let of_event =
            |record: &&std::sync::Arc<Record>| record.headers.get(header::ORIGIN) == Some(&*event.origin_text);
        let failures = |record: &std::sync::Arc<Record>| record.headers.get(header::ATTEMPT)?.parse().ok();
        records.into_iter().flatten().filter(of_event).filter_map(failures).collect()
    }

    /// The cursor says that an event is done.
    pub(crate) fn is_done(&self, index: usize) -> bool {
        let event = &self.events[index];
        let Some(origin) = &event.origin else { return true };
        self.mark(event, Class::Ev) >= origin.offset
            && self.unsettled(event).is_empty()
            && self.retries(event).is_empty()
    }

    pub(crate) fn letters(&self, index: usize) -> usize {
        self.broker.all(Class::Dlq).filter(|record| index_of(&record.envelope) == index).count()
    }

    /// Whether a member can settle a delivery now, as the cell has it.
    fn is_valid(&self, process: usize, event: &Event, attempt: u32) -> bool {
        let Some(cursor) = self.cursors.get(&event.partition) else { return false };
        let id = &self.processes[process].id;
        let open = |one: &Unsettled| one.failures + 1 == attempt && matches!(one.state, State::Open { .. });
        let away = |one: &Unsettled| one.failures + 1 == attempt && one.state == State::Out(id.clone());
        let holds = cursor.holder == *id && !cursor.released;
        self.unsettled(event).iter().any(|one| away(one) || holds && open(one))
    }

    fn holds(&self, process: usize, partition: Partition) -> bool {
        let cursor = self.cursors.get(&partition);
        cursor.is_some_and(|cursor| cursor.holder == self.processes[process].id && !cursor.released)
    }

    // === at each output ===

    pub(crate) fn check_delivery(&mut self, process: usize, index: usize, record: &Record, attempt: u32) {
        let draining = self.processes[process].draining;
        let event = &self.events[index];
        let who = format!("event {index} (key {:?}) attempt {attempt} at member {process}", event.key);
        let problem = if draining {
            Some("handed out while draining".into())
        } else if Some(&record.position) != event.origin.as_ref() || record.headers.get(header::DUE).is_some() {
            Some("doesn't look as it lay on its topic".into())
        } else if event.filtered {
            Some("handed out against the filter".into())
        } else if event.expiry.is_some_and(|at| at <= self.now) {
            Some("handed out after its expiry".into())
        } else if self.same_process_has_key(process, index) {
            Some("its key is out at this member already".into())
        } else if self.holds(process, event.partition) {
            self.problem_of_valid(process, index, attempt)
        } else {
            None
        };
        if let Some(problem) = problem {
            self.violation(format!("{who}: {problem}"));
        }
        let event = &mut self.events[index];
        event.deliveries += 1;
        event.attempt = event.attempt.max(attempt);
    }

    fn same_process_has_key(&self, process: usize, index: usize) -> bool {
        self.processes[process].out.values().any(|out| out.event == index || self.shares_key(out.event, index))
    }

    fn shares_key(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.events[a], &self.events[b]);
        self.settings.order == Order::Key && a.key.is_some() && (&a.key, a.lane) == (&b.key, b.lane)
    }

    /// What is wrong with a delivery by the holder.
    fn problem_of_valid(&self, process: usize, index: usize, attempt: u32) -> Option<String> {
        if self.lenient {
            return None;
        }
        let event = &self.events[index];
        let entries = self.unsettled(event);
        let ceiling = 1 + event.failures + self.losses;
        if !entries.iter().any(|one| one.failures + 1 == attempt && matches!(one.state, State::Open { .. })) {
            return Some(format!("the cursor doesn't allow it: {entries:?}"));
        }
        if event.ack_settled {
            return Some("its ack was told as settled before".into());
        }
        if attempt < event.attempt || attempt > ceiling || (self.losses == 0 && attempt != ceiling) {
            return Some(format!("attempt should be {}..={ceiling}", event.attempt));
        }
        if self.now < event.not_before {
            return Some(format!("it comes before {}", event.not_before));
        }
        if let Some(other) = self.another_alone(process, index) {
            return Some(format!("a suspect is handed out while suspect {other} is out"));
        }
        if let Some(other) = self.valid_elsewhere(process, index) {
            return Some(format!("member {} has event {} of the key", other.0, other.1));
        }
        self.overtaken(index).map(|other| format!("it overtakes event {other}"))
    }

    /// Whether the cell has it as the one suspect that may be out.
    pub(crate) fn is_alone(&self, process: usize, index: usize) -> bool {
        let event = &self.events[index];
        let alone = |one: &Unsettled| one.suspicion == Suspicion::Alone;
        self.holds(process, event.partition) && self.unsettled(event).iter().any(alone)
    }

    /// Another suspect that is out at the same time.
    fn another_alone(&self, process: usize, index: usize) -> Option<usize> {
        let others = self.processes[process].out.values().filter(|out| out.alone && out.event != index);
        let mut held = others.filter(|out| self.is_alone(process, out.event));
        held.next().filter(|_| self.is_alone(process, index)).map(|out| out.event)
    }

    fn valid_elsewhere(&self, process: usize, index: usize) -> Option<(usize, usize)> {
        let others = self.processes.iter().enumerate().filter(|(other, one)| *other != process && one.alive);
        let out = others.flat_map(|(other, one)| one.out.values().map(move |out| (other, out)));
        let mut valid = out.filter(|(other, out)| {
            (out.event == index || self.shares_key(out.event, index))
                && self.is_valid(*other, &self.events[out.event], out.attempt)
        });
        valid.next().map(|(other, out)| (other, out.event))
    }

    /// An earlier event of the key that isn't done.
    fn overtaken(&self, index: usize) -> Option<usize> {
        let event = &self.events[index];
        let of_key = event.key.as_ref().filter(|_| self.settings.order == Order::Key)?;
        let earlier = self.keys[&(of_key.clone(), event.lane)].iter().copied().take_while(|other| *other < index);
        earlier.into_iter().find(|other| {
            let one = &self.events[*other];
            let ended = one.filtered
                || one.expiry.is_some()
                || (one.kind == Kind::Notification && one.failures + self.losses > 0)
                || one.acked_by.is_some()
                || self.letters(*other) > 0;
            !ended && !self.is_done(*other)
        })
    }

    pub(crate) fn note_verdict(&mut self, process: usize, token: Token, out: &Out, verdict: &Verdict) {
        let valid = self.is_valid(process, &self.events[out.event], out.attempt);
        let event = &mut self.events[out.event];
        let mut due = 0;
        match verdict {
            Verdict::Ack if valid => {
                event.acked_by = Some(process);
                event.ever_acked = true;
            }
            Verdict::Ack | Verdict::Release => {}
            Verdict::Reject { .. } => {
                event.failures += 1;
                event.mistreated = true;
            }
            Verdict::Nack { delay, .. } => {
                event.failures += 1;
                event.mistreated = true;
                let policy = self.settings.retry.initial_delay * (1 << (out.attempt - 1).min(10));
                due = self.now + delay.unwrap_or(policy.min(self.settings.retry.max_delay)).as_millis() as u64;
            }
        }
        let said = Said { event: out.event, attempt: out.attempt, verdict: verdict.clone(), due };
        self.verdicts.insert((process, token), said);
    }

    /// `Settled` is told only if the cell, the retry channel or the dead
    /// letters hold what was settled.
    pub(crate) fn check_settled(&mut self, process: usize, token: Token) {
        let Some(said) = self.verdicts.remove(&(process, token)) else {
            return self.violation(format!("settled told without a verdict: {token:?} at member {process}"));
        };
        let index = said.event;
        self.told.push(Told { process, token, event: index });
        let entries = self.unsettled(&self.events[index]);
        let origin = self.events[index].origin.as_ref().map_or(u64::MAX, |origin| origin.offset);
        let past_mark = self.mark(&self.events[index], Class::Ev) >= origin;
        let stale = entries.iter().any(|one| one.failures < said.attempt);
        let event = &mut self.events[index];
        let durable = match said.verdict {
            Verdict::Ack => {
                event.ack_settled = true;
                past_mark && entries.is_empty()
            }
            Verdict::Release => past_mark,
            Verdict::Reject { .. } => past_mark && !stale,
            Verdict::Nack { .. } => {
                event.attempt = event.attempt.max(said.attempt + 1);
                event.not_before = event.not_before.max(said.due);
                past_mark && !stale
            }
        };
        if !durable {
            self.violation(format!("{:?} of event {index} told before it was durable: {entries:?}", said.verdict));
        }
    }

    /// A store takes effect.
    pub(crate) fn check_cursor(&mut self, partition: Partition, value: &Bytes) {
        let cursor = Cursor::decode(value, partition).expect("what is stored can be read");
        if cursor.unsettled() > UNSETTLED_MAX || value.len() > 400 << 10 {
            self.violation(format!("{} unsettled, {} bytes", cursor.unsettled(), value.len()));
        }
        self.cursors.insert(partition, cursor);
    }

    /// What its consumers acked and nobody stored counts no more.
    pub(crate) fn forget_acks(&mut self, process: usize) {
        for index in 0..self.events.len() {
            if self.events[index].acked_by == Some(process) && !self.events[index].ack_settled && !self.is_done(index) {
                self.events[index].acked_by = None;
            }
        }
    }

    // === at the end ===

    pub(crate) fn all_done(&self) -> bool {
        (0..self.events.len()).all(|index| self.is_done(index))
    }

    /// Every event has ended, and for a reason.
    pub(crate) fn check_end(&mut self) {
        if !self.violations.is_empty() {
            return;
        }
        let mut letters = BTreeMap::<usize, usize>::new();
        for record in self.broker.all(Class::Dlq) {
            *letters.entry(index_of(&record.envelope)).or_default() += 1;
        }
        for index in 0..self.events.len() {
            let letters = letters.get(&index).copied().unwrap_or(0);
            if let Some(problem) = self.problem_at_end(index, letters) {
                let event = &self.events[index];
                let detail = (self.unsettled(event), self.retries(event), event.deliveries, event.failures);
                self.violation(format!("event {index} (key {:?}): {problem}: {detail:?}", event.key));
            }
        }
    }

    fn problem_at_end(&self, index: usize, letters: usize) -> Option<&'static str> {
        let event = &self.events[index];
        let kills = matches!(event.then, super::Act::KillProcess(_) | super::Act::KillConsumer(_));
        if letters > 1 {
            return Some("more than one dead letter");
        }
        let unlucky = self.losses + event.lost > self.settings.retry.max_retries;
        if letters == 1 && !event.mistreated && !kills && !unlucky {
            return Some("a dead letter, though nobody refused it");
        }
        // What is dropped may be passed over again after a release.
        let passed = event.filtered || event.expiry.is_some();
        if !passed && !self.is_done(index) {
            return Some("not done");
        }
        let dropped = passed || event.kind == Kind::Notification;
        if letters == 0 && !dropped && !event.ever_acked {
            return Some("lost");
        }
        None
    }
}
