//! What a seed stands for: a world, a load, and a course of misfortunes.

use std::collections::BTreeSet;

use handbell_sidecar::session::Sabotage;

use handbell_test_support::Random;

use super::{
    Happening, Settings, World,
    client::{Client, Kind},
    end::Counts,
};

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
}

/// An answer is kept for so many milliseconds after its deadline: clocks that
/// are further apart may lose it.
const KEPT: i64 = 600_000;

/// Something that is planned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Publish(usize, Kind),
    Repeat(usize),
    UseTwice(usize),
    Swap(usize),
    Subscribe(usize, &'static str),
    Again(usize, &'static str),
    Credit(usize, &'static str),
    Stale(usize),
    Cancel(usize),
    Bye(usize),
    Lose(usize),
    Slow(usize, u64),
    Revoke,
    Kill(usize),
    Drain(usize),
    Clock(usize, i64),
    /// Nothing more goes wrong: everything must come to its end.
    Calm,
}

/// How much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fair,
    /// Connections are lost.
    Lossy,
    /// The broker fails.
    Troubled,
    /// Sidecars crash and drain.
    Crashing,
    /// All of it.
    Stormy,
}

pub(crate) fn run(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let mut random = Random::new(seed ^ 0x5E55);
    let mood = *random.pick(&[Mood::Fair, Mood::Lossy, Mood::Troubled, Mood::Crashing, Mood::Stormy]);
    let settings = settings(&mut random, mood, sabotage);
    let mut world = World::new(Random::new(seed), settings, 2);
    for index in 0..random.between(2, 3) as usize {
        let subs = if random.chance(40) { BTreeSet::from(["f"]) } else { BTreeSet::new() };
        let mut client = Client::new(index, if random.chance(80) { &subs | &BTreeSet::from(["g"]) } else { subs });
        client.resends_all = random.chance(50);
        client.hasty = random.chance(30);
        client.process = random.below(2) as usize;
        world.clients.push(client);
        world.later(random.between(0, 200), Happening::Connect(index));
    }
    world.clients[0].wanted.insert("g");
    let span = random.between(1_500, 5_000);
    for _ in 0..random.between(10, 45) {
        let step = load(&mut random, world.clients.len());
        world.at(random.below(span), Happening::Plan(step));
    }
    for _ in 0..random.between(0, 7) {
        let step = misfortune(&mut random, world.clients.len(), mood);
        world.at(random.below(span), Happening::Plan(step));
    }
    world.at(span, Happening::Plan(Step::Calm));
    world.run(span + 120_000);
    if world.violations.is_empty() {
        world.check_end();
    }
    Outcome { violations: world.violations, counts: world.counts }
}

fn settings(random: &mut Random, mood: Mood, sabotage: Option<Sabotage>) -> Settings {
    let slow_broker = random.chance(40);
    let slow_wire = random.chance(40);
    Settings {
        window: random.between(3, 10) as usize,
        credit: random.between(1, 6) as u32,
        broker_latency: (1, if slow_broker { 120 } else { 10 }),
        broker_trouble: match mood {
            Mood::Troubled => 25,
            Mood::Stormy => 12,
            _ => 1,
        },
        wire_latency: (1, if slow_wire { 80 } else { 5 }),
        repeats: 8,
        sabotage,
    }
}

fn load(random: &mut Random, clients: usize) -> Step {
    let client = random.below(clients as u64) as usize;
    let sub = *random.pick(&["g", "f", ""]);
    match random.below(100) {
        0..=44 => Step::Publish(client, Kind::Topic),
        45..=49 => Step::Publish(client, Kind::Agent),
        50..=53 => Step::Publish(client, Kind::Pool),
        54..=55 => Step::Publish(client, Kind::All),
        56..=69 => Step::Publish(client, Kind::Request),
        70..=71 => Step::Publish(client, Kind::TooLarge),
        72 => Step::Publish(client, Kind::Refused),
        73..=74 => Step::Publish(client, Kind::Malformed),
        75..=80 => Step::Repeat(client),
        81..=83 => Step::UseTwice(client),
        84..=86 => Step::Swap(client),
        87..=88 => Step::Subscribe(client, if sub.is_empty() { "f" } else { sub }),
        89..=90 => Step::Again(client, sub),
        91..=94 => Step::Credit(client, sub),
        95..=97 => Step::Stale(client),
        _ => Step::Cancel(client),
    }
}

fn misfortune(random: &mut Random, clients: usize, mood: Mood) -> Step {
    let client = random.below(clients as u64) as usize;
    let process = random.below(2) as usize;
    let kinds: &[u64] = match mood {
        Mood::Fair => &[3, 4, 6, 6],
        Mood::Lossy => &[0, 0, 0, 1, 2],
        Mood::Troubled => &[0, 3, 3],
        Mood::Crashing => &[0, 4, 5, 5],
        Mood::Stormy => &[0, 0, 1, 2, 3, 4, 5, 6],
    };
    match random.pick(kinds) {
        0 => Step::Lose(client),
        1 => Step::Slow(client, random.between(100, 1_400)),
        2 => Step::Slow(client, random.between(1_600, 2_500)),
        3 => Step::Revoke,
        4 if random.chance(50) => Step::Bye(client),
        4 => Step::Drain(process),
        5 => Step::Kill(process),
        _ => Step::Clock(process, {
            let most = *random.pick(&[2_000, 500_000, 4_000_000]);
            random.between(0, 2 * most) as i64 - most as i64
        }),
    }
}

impl World {
    pub(crate) fn step(&mut self, step: Step) {
        self.trace(|| format!("{step:?}"));
        match step {
            Step::Publish(client, kind) => drop(self.publish(client, kind)),
            Step::Repeat(client) => self.repeat(client),
            Step::UseTwice(client) => self.use_twice(client),
            Step::Swap(client) => self.swap(client),
            Step::Subscribe(client, sub) => self.subscribe(client, sub),
            Step::Again(client, sub) => self.unsubscribe(client, sub),
            Step::Credit(client, sub) => self.more_credit(client, sub),
            Step::Stale(client) => self.say_something_stale(client),
            Step::Cancel(client) => self.cancel_a_call(client),
            Step::Bye(client) => self.bye(client),
            Step::Lose(client) => self.lose(client),
            Step::Slow(client, millis) => self.read_slowly(client, millis),
            Step::Revoke => {
                let out = self.hub.all_out();
                if !out.is_empty() {
                    let token = *self.random.pick(&out);
                    self.revoke(token);
                }
            }
            Step::Kill(process) if self.processes[process].alive => self.kill(process),
            Step::Drain(process) if self.processes[process].alive && !self.processes[process].draining => {
                self.drain(process);
            }
            Step::Kill(_) | Step::Drain(_) => {}
            Step::Clock(process, off) => {
                self.processes[process].clock_off = off;
                self.clocks_far_apart |= off.abs() > KEPT;
            }
            Step::Calm => self.calm = true,
        }
    }
}
