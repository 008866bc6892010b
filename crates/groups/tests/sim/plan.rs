//! What a seed stands for: a world, a load, and a course of misfortunes.

use std::time::Duration;

use handbell_backend::Partition;
use handbell_groups::{Input, Leave, Sabotage};
use handbell_protocol::{
    Kind, Priority,
    frame::{Order, RetryPolicy},
};

use handbell_test_support::Random;

use super::{Act, Settings, Spec, World};

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) events: usize,
    pub(crate) acked: usize,
    pub(crate) letters: usize,
    pub(crate) settled: usize,
    pub(crate) redelivered: usize,
}

/// How much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Members come and go as planned.
    Planned,
    /// They crash.
    Crashing,
    /// They are paused past their lease, and wake.
    Pausing,
    /// All of it, and every store may be in doubt.
    Stormy,
}

pub(crate) fn run(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let mut random = Random::new(seed ^ 0x5EED);
    let mood = [Mood::Planned, Mood::Crashing, Mood::Pausing, Mood::Stormy][random.below(4) as usize];
    let mut world = World::new(seed, settings(&mut random, mood, sabotage));
    world.respawn = true;
    let span = random.between(2_000, 12_000);
    for _ in 0..random.between(1, 3) {
        world.spawn();
    }
    for _ in 0..random.between(8, 40) {
        let at = world.now + random.below(span);
        let spec = spec(&mut random, at, &world.settings, mood);
        world.publish_at(at, spec);
    }
    for _ in 0..random.between(0, 6) {
        let at = world.now + random.below(span);
        misfortune(&mut random, &mut world, mood, at);
    }
    world.do_at(world.now + span + 5_000, calm);
    let end = world.now + span + 400_000;
    let since = world.now + span + 8_000;
    world.run_until(end, |world| world.now > since && world.all_done());
    world.run(2_000);
    world.check_end();
    outcome(world)
}

fn settings(random: &mut Random, mood: Mood, sabotage: Option<Sabotage>) -> Settings {
    Settings {
        partitions: random.between(1, 3) as u16,
        order: if random.chance(10) { Order::None } else { Order::Key },
        consumers: (1, random.between(1, 3)),
        credit: (1, random.between(1, 12)),
        latency: (1, random.between(2, 25)),
        in_doubt: if mood == Mood::Stormy { 8 } else { 0 },
        word_loss: if mood == Mood::Planned { 10 } else { 30 },
        max_processing: 6_000,
        ack_wait: 1_500,
        retry: RetryPolicy {
            max_retries: if random.chance(15) { random.below(3) as u32 } else { 6 },
            initial_delay: Duration::from_millis(random.between(100, 1_500)),
            ..RetryPolicy::default()
        },
        read_ahead: random.between(1, 40) as usize,
        sabotage,
    }
}

fn spec(random: &mut Random, at: u64, settings: &Settings, mood: Mood) -> Spec {
    let key = random.chance(80).then(|| random.below(5));
    let partition = Partition((key.unwrap_or_else(|| random.below(5)) % u64::from(settings.partitions)) as u16);
    let acts = random.below(4);
    Spec {
        key: key.map(|key| format!("k{key}")),
        priority: *random.pick(&[
            Priority::Normal,
            Priority::Normal,
            Priority::High,
            Priority::Critical,
            Priority::Low,
        ]),
        kind: if random.chance(6) { Kind::Notification } else { Kind::Event },
        filtered: random.chance(6),
        expiry: random.chance(5).then(|| at + random.below(1_500)),
        partition,
        script: (0..acts.saturating_sub(1)).map(|_| act(random, mood)).collect(),
        then: Act::Ack(random.between(1, 40)),
    }
}

fn act(random: &mut Random, mood: Mood) -> Act {
    let after = random.between(1, 60);
    match random.below(20) {
        0..=6 => Act::Ack(after),
        7 => Act::Ack(random.between(500, 5_000)),
        8..=10 => Act::Nack { after, class: "temporary_failure", delay: Some(random.below(1_800)) },
        11..=12 => Act::Nack { after, class: "temporary_failure", delay: Some(random.between(2_100, 9_000)) },
        13 => Act::Nack { after, class: "temporary_failure", delay: None },
        14 => Act::Nack { after, class: "unauthorized", delay: None },
        15 => Act::Reject(after),
        16 => Act::Release(after),
        17 => Act::Extend { after, lease: 8_000, ack: random.between(100, 7_000) },
        18 => Act::Silent,
        _ if mood == Mood::Crashing && random.chance(40) => Act::KillProcess(after),
        _ => Act::KillConsumer(after),
    }
}

fn misfortune(random: &mut Random, world: &mut World, mood: Mood, at: u64) {
    let pick = random.draw();
    let victim = move |world: &World| {
        let living: Vec<_> = world.living().into_iter().filter(|i| !world.processes[*i].draining).collect();
        (!living.is_empty()).then(|| living[(pick % living.len() as u64) as usize])
    };
    let kind = match mood {
        Mood::Planned => random.below(4),
        Mood::Crashing => *random.pick(&[0, 1, 4, 4]),
        Mood::Pausing => *random.pick(&[0, 5, 5, 6]),
        Mood::Stormy => random.below(7),
    };
    let millis = if kind == 5 { random.between(3_000, 9_000) } else { random.between(50, 2_900) };
    world.do_at(at, move |world| match (kind, victim(world)) {
        (0, _) => drop(world.spawn()),
        (1, Some(victim)) => move_away(world, victim, pick),
        (2, Some(victim)) => blink(world, victim, millis.min(1_400)),
        (3, Some(victim)) => swap_consumer(world, victim),
        (4, Some(victim)) => world.crash(victim),
        (5 | 6, Some(victim)) => world.pause(victim, millis),
        _ => {}
    });
}

/// A rolling restart: drained, then gone, another one in its place.
fn move_away(world: &mut World, process: usize, pick: u64) {
    world.spawn();
    world.drain(process);
    let grace = 200 + pick % 3_000;
    world.do_at(world.now + grace, move |world| world.leave(process));
}

/// A socket is lost for a while.
fn blink(world: &mut World, process: usize, millis: u64) {
    if let Some(consumer) = world.processes[process].consumers.first().copied() {
        world.input(process, Input::Disconnected(consumer));
        world.do_at(world.now + millis, move |world| world.input(process, Input::Connected(consumer)));
    }
}

/// A consumer says goodbye, another one comes.
fn swap_consumer(world: &mut World, process: usize) {
    if let Some(consumer) = world.processes[process].consumers.first().copied() {
        world.join(process);
        world.left(process, consumer, Leave::Clean);
    }
}

/// Nothing new goes wrong: everything must come to its end.
fn calm(world: &mut World) {
    world.calm = true;
    world.settings.in_doubt = 0;
    world.spawn();
}

fn outcome(world: World) -> Outcome {
    let redelivered = world.delivered.iter().filter(|(_, attempt)| *attempt > 1).count();
    Outcome {
        events: world.events.len(),
        acked: world.events.iter().filter(|event| event.ever_acked).count(),
        letters: world.broker.all(handbell_backend::Class::Dlq).count(),
        settled: world.told.len(),
        redelivered,
        violations: world.violations,
    }
}
