//! The core against a plain model: whatever happens, in whatever order.

use std::collections::BTreeMap;

use handbell_backend::{Class, Headers, Incarnation, Partition, Position};
use handbell_protocol::{Envelope, Timestamp, Topic};
use proptest::prelude::*;

use super::*;

const WAIT: Duration = Duration::from_secs(10);

fn record(offset: u64) -> Arc<Record> {
    let text = r#"{"event":{"id":"e","type":"T","source":"/a","timestamp":"2025-11-29T14:30:00Z","version":"1.0",
        "correlation_id":"c"},"payload":null,"routing":{"topic":"t"}}"#;
    let envelope: Envelope = serde_json::from_str(text).unwrap();
    let position = Position {
        log: "".into(),
        incarnation: Incarnation(1),
        class: Class::Ev,
        lane: if offset.is_multiple_of(3) { Lane::Express } else { Lane::Regular },
        partition: Partition(0),
        offset,
        time: Timestamp::default(),
    };
    Arc::new(Record {
        position,
        topic: Topic::parse("t").unwrap(),
        envelope: Arc::new(envelope),
        headers: Headers::default(),
    })
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Take(usize),
    /// Taken and not stored: taken back.
    TakeInVain(usize),
    Settle(usize, Settlement),
    SettleInVain(usize, Settlement),
    Extend(usize),
    Pass(u64),
    Shelve,
}

fn settlement() -> impl Strategy<Value = Settlement> {
    prop_oneof![
        Just(Settlement::Ack),
        (0_u64..20, any::<bool>())
            .prop_map(|(delay, counted)| Settlement::Nak { delay: Duration::from_secs(delay), counted }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Add),
        3 => (1_usize..4).prop_map(Step::Take),
        1 => (1_usize..4).prop_map(Step::TakeInVain),
        3 => (0_usize..6, settlement()).prop_map(|(n, how)| Step::Settle(n, how)),
        1 => (0_usize..6, settlement()).prop_map(|(n, how)| Step::SettleInVain(n, how)),
        1 => (0_usize..6).prop_map(Step::Extend),
        2 => (0_u64..15).prop_map(Step::Pass),
        1 => Just(Step::Shelve),
    ]
}

/// One record as the trait's words have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Ready,
    Due(u64),
    Out { lease: u64, until: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Known {
    stand: Stand,
    attempt: u32,
    suspect: bool,
}

/// The queue, thought out plainly: every record in one map, looked through whole.
struct Model {
    core: Core,
    begin: Instant,
    now: u64,
    last: u64,
    all: BTreeMap<u64, Known>,
    /// Every lending there ever was.
    leases: Vec<(u64, u64)>,
}

impl Model {
    fn at(&self, second: u64) -> Instant {
        self.begin + Duration::from_secs(second)
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Add => {
                self.last += 1;
                self.core.add(record(self.last));
                self.all.insert(self.last, Known { stand: Stand::Ready, attempt: 1, suspect: false });
            }
            Step::Take(max) => drop(self.take(max)),
            Step::TakeInVain(max) => {
                let before = self.all.clone();
                for taken in self.take(max) {
                    self.core.put_back(taken);
                }
                self.all = before;
            }
            Step::Settle(n, how) => drop(self.settle(n, &how)),
            Step::SettleInVain(n, how) => {
                let before = self.all.clone();
                if let Some(settled) = self.settle(n, &how) {
                    self.core.unsettle(settled);
                }
                self.all = before;
            }
            Step::Extend(n) => self.extend(n),
            Step::Pass(seconds) => {
                self.now += seconds;
                self.wake();
            }
            Step::Shelve => self.shelve(),
        }
    }

    fn wake(&mut self) {
        self.core.wake(self.at(self.now));
        for offset in self.core.wanting(usize::MAX) {
            self.core.supply(record(offset));
        }
        for known in self.all.values_mut() {
            match known.stand {
                Stand::Due(at) if at <= self.now => known.stand = Stand::Ready,
                Stand::Out { until, .. } if until <= self.now => {
                    *known = Known { stand: Stand::Ready, attempt: known.attempt + 1, suspect: true };
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, max: usize) -> Vec<Taken> {
        for offset in self.core.wanting(usize::MAX) {
            self.core.supply(record(offset));
        }
        let mut expected: Vec<u64> =
            self.all.iter().filter(|(_, known)| known.stand == Stand::Ready).map(|(offset, _)| *offset).collect();
        expected.sort_by_key(|offset| (!offset.is_multiple_of(3), *offset));
        expected.truncate(max);
        let until = self.now + WAIT.as_secs();
        let taken = self.core.take(max, self.at(until));
        assert_eq!(taken.iter().map(Taken::offset).collect::<Vec<_>>(), expected);
        for lent in &taken {
            let known = self.all.get_mut(&lent.offset()).unwrap();
            assert_eq!((lent.item.attempt, lent.item.suspect), (known.attempt, known.suspect));
            assert!(self.leases.iter().all(|(_, lease)| *lease != lent.lease), "a lease has a number of its own");
            known.stand = Stand::Out { lease: lent.lease, until };
            self.leases.push((lent.offset(), lent.lease));
        }
        taken
    }

    /// One of the last lendings, whether it still runs or not.
    fn lending(&self, n: usize) -> Option<(u64, u64, bool)> {
        let (offset, lease) = *self.leases.iter().rev().nth(n)?;
        let stand = self.all.get(&offset).map(|known| known.stand);
        let runs = matches!(stand, Some(Stand::Out { lease: l, until }) if l == lease && until > self.now);
        Some((offset, lease, runs))
    }

    fn settle(&mut self, n: usize, how: &Settlement) -> Option<Settled> {
        let (offset, lease, runs) = self.lending(n)?;
        let settled = self.core.settle(offset, lease, how, self.at(self.now));
        assert_eq!(settled.is_some(), runs);
        if runs {
            match how {
                Settlement::Nak { delay, counted } => {
                    let known = self.all.get_mut(&offset).unwrap();
                    known.stand = if delay.is_zero() { Stand::Ready } else { Stand::Due(self.now + delay.as_secs()) };
                    known.attempt += u32::from(*counted);
                    known.suspect &= !counted;
                }
                Settlement::Ack | Settlement::Term { .. } => drop(self.all.remove(&offset)),
            }
        }
        settled
    }

    fn extend(&mut self, n: usize) {
        let Some((offset, lease, runs)) = self.lending(n) else { return };
        let until = self.now + 30;
        assert_eq!(self.core.extend(offset, lease, self.at(self.now), self.at(until)), runs);
        if runs {
            self.all.get_mut(&offset).unwrap().stand = Stand::Out { lease, until };
        }
    }

    fn shelve(&mut self) {
        let shelved = self.core.shelve(self.at(self.now));
        self.wake();
        for Shelved { offset, item, due } in shelved {
            let known = &self.all[&offset];
            assert_eq!((item.attempt, item.suspect), (known.attempt, known.suspect));
            assert_eq!(due, if let Stand::Due(at) = known.stand { Some(self.at(at)) } else { None });
        }
    }

    fn check(&self) {
        let ready = self.all.values().filter(|known| known.stand == Stand::Ready).count();
        assert_eq!(Lane::ALL.into_iter().map(|lane| self.core.ready(lane)).sum::<usize>(), ready);
        let events = self.all.values().filter_map(|known| match known.stand {
            Stand::Ready => None,
            Stand::Due(at) | Stand::Out { until: at, .. } => Some(self.at(at)),
        });
        assert_eq!(self.core.next_event(), events.min());
    }
}

proptest! {
    #[test]
    fn the_queue_does_what_its_plain_model_does(steps in prop::collection::vec(step(), 1..80)) {
        let mut model = Model {
            core: Core::new(0), begin: Instant::now(), now: 0, last: 0, all: BTreeMap::new(), leases: Vec::new(),
        };
        for step in steps {
            model.run(step);
            model.check();
        }
    }
}

#[test]
fn what_waits_for_its_record_holds_up_those_behind_it() {
    let mut core = Core::new(0);
    let until = Instant::now() + WAIT;
    core.restore(3, Item { lane: Lane::Express, attempt: 2, suspect: true }, None);
    core.add(record(1));
    assert!(core.take(9, until).is_empty());
    core.supply(record(3));
    assert_eq!(core.take(9, until).iter().map(Taken::offset).collect::<Vec<_>>(), [3, 1]);
}
