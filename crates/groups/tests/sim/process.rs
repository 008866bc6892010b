//! One modelled process: a member with its consumers, readings and inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use handbell_backend::Class;
use handbell_groups::{Begin, ConsumerId, Group, Input, MemberId, Output, Reading, Source, Token};

use super::log::{Broker, Row};

pub(crate) struct Process {
    pub(crate) id: MemberId,
    pub(crate) group: Group,
    pub(crate) alive: bool,
    pub(crate) draining: bool,
    /// Inputs that wait for it to wake.
    pub(crate) paused: Option<Vec<Input>>,
    pub(crate) readings: HashMap<Reading, Tail>,
    pub(crate) consumers: BTreeSet<ConsumerId>,
    /// What is out: which event.
    pub(crate) out: BTreeMap<Token, Out>,
    pub(crate) woken_at: u64,
    /// Since when it says nothing: paused or dead.
    pub(crate) silent_since: Option<u64>,
    pub(crate) next_tick: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Out {
    pub(crate) event: usize,
    pub(crate) consumer: ConsumerId,
    pub(crate) attempt: u32,
    pub(crate) since: u64,
    /// It was handed out as the one suspect of a lost holder.
    pub(crate) alone: bool,
}

/// What a reading has read.
pub(crate) struct Tail {
    pub(crate) row: Row,
    pub(crate) at: u64,
    /// The log's end when it was opened.
    level: Option<u64>,
}

impl Process {
    pub(crate) fn new(id: MemberId, group: Group) -> Self {
        Self {
            id,
            group,
            alive: true,
            draining: false,
            paused: None,
            readings: HashMap::new(),
            consumers: BTreeSet::new(),
            out: BTreeMap::new(),
            woken_at: 0,
            silent_since: None,
            next_tick: u64::MAX,
        }
    }

    pub(crate) fn open(&mut self, broker: &mut Broker, reading: Reading, begin: Begin) {
        let class = if reading.source == Source::Retry { Class::Retry } else { Class::Ev };
        let row = (class, reading.lane, reading.partition);
        let log = broker.log(row);
        let at = match begin {
            Begin::Start => 0,
            Begin::After(positions) => {
                assert_eq!(positions.len(), 1, "one log, one position");
                if positions[0].incarnation == log.incarnation { positions[0].offset } else { 0 }
            }
        };
        self.readings.insert(reading, Tail { row, at, level: Some(log.end) });
    }

    /// What its readings have to say now, at most `max` records each.
    pub(crate) fn read(&mut self, broker: &Broker, max: usize) -> Vec<Input> {
        let mut budget = self.group.read_budget();
        let mut inputs = vec![];
        let mut readings: Vec<_> = self.readings.iter_mut().collect();
        readings.sort_by_key(|(reading, _)| **reading);
        for (reading, tail) in readings {
            if let Some(trimmed) = broker.trimmed(tail.row, tail.at) {
                tail.at = trimmed.to.offset - 1;
                inputs.push(Input::Trimmed { reading: *reading, trimmed });
            }
            let topics = reading.source == Source::Topic;
            let max = if topics { max.min(budget) } else { max };
            let records: Vec<_> = broker.row(tail.row).map_or(vec![], |log| {
                log.records.range(tail.at + 1..).take(max).map(|(_, record)| record.clone()).collect()
            });
            if topics {
                budget -= records.len();
            }
            if let Some(last) = records.last() {
                tail.at = last.position.offset;
                inputs.push(Input::Read { reading: *reading, records });
            }
            let more = broker
                .row(tail.row)
                .is_some_and(|log| log.records.range(tail.at + 1..).any(|(offset, _)| Some(*offset) <= tail.level));
            if tail.level.is_some() && !more {
                tail.level = None;
                inputs.push(Input::Level { reading: *reading });
            }
        }
        inputs
    }

    /// Whether a reading could read on.
    pub(crate) fn has_more(&self, broker: &Broker) -> bool {
        let budget = self.group.read_budget();
        self.readings.iter().any(|(reading, tail)| {
            let records = broker.row(tail.row).is_some_and(|log| log.records.range(tail.at + 1..).next().is_some());
            tail.level.is_some() || (records && (budget > 0 || reading.source == Source::Retry))
        })
    }

    pub(crate) fn handle(&mut self, now: u64, inputs: Vec<Input>) -> Vec<Output> {
        let mut out = vec![];
        self.group.handle_all(super::time(now), inputs, &mut out);
        out
    }
}
