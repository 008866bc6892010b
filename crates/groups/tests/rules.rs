//! Rules of groups that no schedule stands for.

mod sim;

use std::sync::Arc;

use handbell_backend::{CellVersion, Class, Incarnation, Partition, Position, Record};
use handbell_groups::{Alarm, Config, ConsumerId, Cursor, Group, Input, Leave, Output, Reading, StoreResult, Verdict};
use handbell_protocol::{Kind, Lane, Priority, Segment};
use sim::{
    Act, Settings, Spec, World,
    scene::{finish, nack, ok, order},
};

const P0: Partition = Partition(0);

fn world(settings: Settings) -> World {
    World::new(11, settings)
}

#[test]
fn an_earlier_priority_goes_first_within_what_is_read_ahead() {
    let mut world = world(Settings { credit: (1, 1), ..Settings::default() });
    world.spawn();
    world.publish(Spec::default().script([Act::Ack(2_000)]));
    world.run(500);
    use Priority::{Critical, High, Low, Normal};
    for priority in [Low, Normal, High, Critical, Low, Critical] {
        world.publish(Spec::default().priority(priority).then(Act::Ack(50)));
        world.run(100);
    }
    finish(&mut world, 10_000);
    assert_eq!(order(&world), [0, 4, 6, 3, 2, 1, 5]);
}

#[test]
fn one_full_partition_stops_and_the_others_go_on() {
    let mut world = world(Settings { partitions: 2, credit: (64, 64), ..Settings::default() });
    world.spawn();
    world.publish(Spec::keyed("slow").script([Act::Ack(60_000)]));
    world.publish_many(3_000, |_| Spec::keyed("slow"));
    world.run(1_000);
    world.publish_many(500, |n| Spec::keyed(&format!("k{n}")).on(1));
    world.run(10_000);
    ok(&mut world);
    assert_eq!(world.delivered.len(), 501);
    let express = world.publish(Spec::keyed("urgent").priority(Priority::High));
    world.run(1_000);
    assert_eq!(world.delivered.last(), Some(&(express, 1)), "the express lane has room beside the regular one");
    finish(&mut world, 200_000);
}

#[test]
fn a_slow_key_does_not_take_the_room_to_read_ahead_from_other_partitions() {
    let mut world = world(Settings { partitions: 2, read_ahead: 64, credit: (16, 16), ..Settings::default() });
    world.spawn();
    world.publish(Spec::keyed("slow").script([Act::Ack(60_000)]));
    world.publish_many(500, |_| Spec::keyed("slow"));
    world.run(2_000);
    let others = world.publish_many(300, |n| Spec::keyed(&format!("k{n}")).on(1));
    world.run(10_000);
    ok(&mut world);
    assert!(others.iter().all(|event| world.events[*event].ever_acked));
    finish(&mut world, 100_000);
}

#[test]
fn a_lost_consumers_records_come_again_counted_and_a_clean_ones_uncounted() {
    for (how, attempt) in [(Leave::Clean, 1), (Leave::Lost, 2)] {
        let mut world = world(Settings::default());
        let member = world.spawn();
        let event = world.publish(Spec::keyed("k").script([Act::Silent]));
        world.run(500);
        let consumer = *world.processes[member].consumers.first().unwrap();
        world.join(member);
        world.left(member, consumer, how);
        finish(&mut world, 10_000);
        assert_eq!(world.delivered, [(event, 1), (event, attempt)]);
    }
}

#[test]
fn a_delivery_that_is_extended_outlives_its_lease_and_another_doesnt() {
    let mut world = world(Settings { max_processing: 5_000, ..Settings::default() });
    world.spawn();
    let extended = world.publish(Spec::keyed("a").script([Act::Extend { after: 1_000, lease: 20_000, ack: 15_000 }]));
    let silent = world.publish(Spec::keyed("b").script([Act::Silent]));
    finish(&mut world, 60_000);
    let attempts = |of| world.delivered.iter().filter(|(event, _)| *event == of).count();
    assert_eq!((attempts(extended), attempts(silent)), (1, 2));
}

#[test]
fn a_lost_socket_ends_leases_after_ack_wait_unless_it_comes_back() {
    for (back, deliveries) in [(None, 2), (Some(10_000), 1)] {
        let mut world = world(Settings { ack_wait: 15_000, ..Settings::default() });
        let member = world.spawn();
        let event = world.publish(Spec::keyed("a").script([Act::Ack(60_000)]));
        world.run(500);
        let consumer = *world.processes[member].consumers.first().unwrap();
        world.input(member, Input::Disconnected(consumer));
        world.join(member);
        if let Some(back) = back {
            let at = world.now + back;
            world.do_at(at, move |world| world.input(member, Input::Connected(consumer)));
        }
        finish(&mut world, 100_000);
        assert_eq!(world.events[event].deliveries, deliveries);
    }
}

#[test]
fn a_cursor_of_a_newer_build_is_left_alone_and_told() {
    let mut world = world(Settings::default());
    let value = bytes::Bytes::from_static(&[9, 0, 0]);
    world.broker.cells.insert(P0, (value.clone(), handbell_backend::CellVersion(1)));
    world.spawn();
    world.publish(Spec::default());
    world.run(12_000);
    assert!(world.delivered.is_empty());
    assert_eq!(world.broker.cells[&P0].0, value);
    assert!(matches!(world.alarms[0], Alarm::Unreadable { partition: P0, .. }));
    assert!((2..5).contains(&world.alarms.len()), "told now and then, not all the time: {}", world.alarms.len());
}

#[test]
fn a_failed_notification_is_dropped_and_an_expired_record_never_handed_out() {
    let mut world = world(Settings::default());
    let member = world.spawn();
    world.publish(Spec { kind: Kind::Notification, ..Spec::keyed("k") }.then(nack(10)));
    world.publish(Spec { expiry: Some(1_000), ..Spec::keyed("k") });
    world.publish(Spec { filtered: true, ..Spec::keyed("k") });
    let last = world.publish(Spec::keyed("k"));
    world.run(8_000);
    ok(&mut world);
    let counters = world.counters(member);
    assert_eq!((counters.notifications_dropped, counters.expired, counters.filtered), (1, 1, 1));
    assert_eq!(order(&world), [0, last]);
    assert_eq!((world.broker.all(Class::Dlq).count(), world.all_done()), (0, true));
}

#[test]
fn a_record_that_expires_while_it_waits_for_its_key_is_not_handed_out() {
    let mut world = world(Settings::default());
    let member = world.spawn();
    world.publish(Spec::keyed("k").script([Act::Ack(3_000)]));
    let expiry = Some(world.now + 1_000);
    world.publish(Spec { expiry, ..Spec::keyed("k") });
    let last = world.publish(Spec::keyed("k"));
    finish(&mut world, 10_000);
    assert_eq!((order(&world), world.counters(member).expired), (vec![0, last], 1));
}

#[test]
fn a_retry_that_the_broker_refuses_waits_in_memory_and_keeps_its_time() {
    let mut world = world(Settings::default());
    world.spawn();
    world.refused = Some(Class::Retry);
    let event = world.publish(Spec::keyed("k").script([nack(5_000)]));
    world.publish(Spec::keyed("k"));
    world.run(4_500);
    assert_eq!(order(&world), [event]);
    finish(&mut world, 2_000);
    assert!(matches!(world.alarms[..], [Alarm::Refused { .. }]));
    assert_eq!(world.broker.all(Class::Retry).count(), 0);
}

#[test]
fn a_dead_letter_that_the_broker_refuses_is_tried_until_it_is_stored() {
    let mut world = world(Settings::default());
    world.spawn();
    world.refused = Some(Class::Dlq);
    let event = world.publish(Spec::keyed("k").then(Act::Reject(5)));
    let next = world.publish(Spec::keyed("k"));
    world.run(45_000);
    assert_eq!(order(&world), [event], "nothing leaves its topic without its letter");
    world.refused = None;
    finish(&mut world, 60_000);
    assert_eq!((order(&world), world.broker.all(Class::Dlq).count()), (vec![event, next], 1));
}

#[test]
fn unsettled_records_that_retention_took_are_told_and_their_keys_go_on() {
    let mut world = world(Settings::default());
    let holder = world.spawn();
    world.publish(Spec::keyed("k").script([Act::Silent]));
    world.run(500);
    world.crash(holder);
    let row = (Class::Ev, Lane::Regular, P0);
    let end = world.broker.log(row).end;
    world.broker.trim(row, end);
    let next = world.spawn();
    world.run(4_000);
    let event = world.publish(Spec::keyed("k"));
    world.run(4_000);
    assert!(matches!(&world.alarms[..], [Alarm::Lost { positions }] if positions.len() == 1));
    assert_eq!((world.gaps, world.counters(next).lost), (1, 1));
    assert_eq!(world.delivered.last(), Some(&(event, 1)));
}

#[test]
fn a_verdict_of_another_consumer_or_a_second_one_is_gone_without_effect() {
    let mut world = world(Settings::default());
    let member = world.spawn();
    let event = world.publish(Spec::keyed("k").script([Act::Ack(2_000)]));
    world.run(500);
    let stranger = world.join(member);
    let (_, token) = world.out(event).expect("it is out");
    world.input(member, Input::Settle { consumer: stranger, verdicts: vec![(token, Verdict::Ack)] });
    world.run(500);
    assert_eq!((world.counters(member).gone, world.told.len()), (1, 0));
    finish(&mut world, 5_000);
    let consumer = *world.processes[member].consumers.first().expect("it is there");
    world.input(member, Input::Settle { consumer, verdicts: vec![(token, Verdict::Reject { reason: String::new() })] });
    world.run(500);
    assert_eq!((world.counters(member).gone, world.told.len()), (2, 1));
    assert_eq!(world.broker.all(Class::Dlq).count(), 0);
}

#[test]
fn records_without_a_key_wait_for_nobody() {
    let mut world = world(Settings::default());
    world.spawn();
    let slow = world.publish(Spec::default().script([Act::Ack(5_000)]));
    let retried = world.publish(Spec::default().script([nack(20_000)]));
    let others = world.publish_many(5, |_| Spec::default());
    world.run(1_000);
    assert!(others.iter().all(|event| world.events[*event].ever_acked));
    finish(&mut world, 30_000);
    assert_eq!((world.events[slow].deliveries, world.events[retried].deliveries), (1, 2));
}

#[test]
fn after_a_store_in_doubt_the_group_goes_on_from_what_the_cell_holds() {
    for seed in 0..40 {
        let mut world = World::new(seed, Settings { in_doubt: 70, ..Settings::default() });
        let member = world.spawn();
        world.publish_many(30, |n| Spec::keyed(&format!("k{}", n % 7)));
        finish(&mut world, 120_000);
        assert_eq!(world.delivered.len(), 30, "seed {seed}");
        assert_eq!(world.counters(member).fenced, 0, "its own late store is no fence");
    }
}

#[test]
fn one_seed_is_one_course() {
    let course = |seed| {
        let mut world = World::new(seed, Settings { in_doubt: 20, ..Settings::default() });
        world.spawn();
        world.publish_many(30, |n| Spec::keyed(&format!("k{}", n % 7)).script([nack(2_500)]));
        world.run(20_000);
        world.delivered
    };
    assert_eq!(course(5), course(5));
}

/// A member with one consumer that holds partition 0 from its beginning.
fn holder() -> (Group, Reading) {
    let mut group = Group::new(Config::new(Segment::parse("g").expect("a name"), "m".into()));
    let mut give = |input| {
        let mut out = vec![];
        group.handle(sim::time(1_000), input, &mut out);
        out
    };
    give(Input::Joined { consumer: ConsumerId(1), credit: 10 });
    let owners = [(P0, "m".into())].into();
    let out = give(Input::View { members: ["m".into()].into(), owners });
    let [Output::Load { request, .. }] = out[..] else { panic!("{out:?}") };
    let out = give(Input::Loaded { request, cursor: None, ends: vec![] });
    let [Output::Store { request, .. }] = out[..] else { panic!("{out:?}") };
    let out = give(Input::Stored { request, result: StoreResult::Stored(CellVersion(1)) });
    let readings = |out: &[Output]| -> Vec<Reading> {
        let reading = |output: &Output| if let Output::Open { reading, .. } = output { Some(*reading) } else { None };
        out.iter().filter_map(reading).collect()
    };
    let topics: Vec<_> =
        readings(&out).into_iter().flat_map(|reading| readings(&give(Input::Level { reading }))).collect();
    let regular = topics.into_iter().find(|reading| reading.lane == Lane::Regular).expect("topics are read now");
    (group, regular)
}

fn record_of(log: &str, offset: u64) -> Arc<Record> {
    let spec = Spec::default();
    let position = Position {
        log: log.into(),
        incarnation: Incarnation(1),
        class: Class::Ev,
        lane: Lane::Regular,
        partition: P0,
        offset,
        time: sim::time(500),
    };
    Arc::new(Record { position, topic: spec.topic(), envelope: spec.envelope(0, 500), headers: spec.headers() })
}

/// As on Kafka, where each declared topic has a log of its own.
#[test]
fn several_logs_of_a_lane_have_marks_of_their_own_and_repeats_are_dropped() {
    let (mut group, reading) = holder();
    let records = [("a", 5), ("b", 3), ("a", 6), ("b", 3), ("a", 4)].map(|(log, offset)| record_of(log, offset)).into();
    let mut out = vec![];
    group.handle(sim::time(1_001), Input::Read { reading, records }, &mut out);
    let [Output::Store { request, ref value, .. }] = out[..] else { panic!("{out:?}") };
    let cursor = Cursor::decode(value, P0).unwrap();
    let marks: Vec<_> = cursor.marks.iter().map(|mark| (&*mark.position.log, mark.position.offset)).collect();
    assert_eq!((marks, cursor.unsettled()), (vec![("a", 6), ("b", 3)], 3));
    let mut out = vec![];
    group.handle(sim::time(1_002), Input::Stored { request, result: StoreResult::Stored(CellVersion(2)) }, &mut out);
    assert_eq!(out.iter().filter(|output| matches!(output, Output::Deliver { .. })).count(), 3);
    assert_eq!(group.counters().repeats, 2);
}

#[test]
fn what_a_closed_reading_still_hands_in_has_no_effect() {
    let (mut group, reading) = holder();
    let stale = Reading { number: reading.number + 1_000, ..reading };
    let mut out = vec![];
    group.handle(sim::time(1_001), Input::Read { reading: stale, records: vec![record_of("", 1)] }, &mut out);
    group.handle(sim::time(1_001), Input::Level { reading: stale }, &mut out);
    assert!(out.is_empty(), "{out:?}");
}
