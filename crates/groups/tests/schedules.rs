//! The schedules that break such systems, by their numbers, as far as they
//! concern groups.

mod sim;

use std::time::Duration;

use handbell_backend::{Class, Incarnation, Partition, header};
use handbell_groups::{Alarm, Sabotage, Verdict};
use handbell_protocol::{Lane, frame::RetryPolicy};
use sim::{
    Act, Settings, Spec, World,
    event::index_of,
    scene::{finish, nack, ok, order},
    world::LEASE,
};

const P0: Partition = Partition(0);

fn world(settings: Settings) -> World {
    World::new(7, settings)
}

#[test]
fn schedule_1_a_long_delay_comes_back_once_to_this_group_alone_under_a_key_of_its_own() {
    let mut world = world(Settings { in_doubt: 60, ..Settings::default() });
    world.spawn();
    let event = world.publish(Spec::keyed("k").script([nack(60_000)]));
    world.run(55_000);
    ok(&mut world);
    assert_eq!(world.delivered, [(event, 1)]);
    finish(&mut world, 20_000);
    assert_eq!(world.delivered, [(event, 1), (event, 2)]);
    let retries: Vec<_> = world.broker.all(Class::Retry).cloned().collect();
    assert_eq!(retries.len(), 1, "however often the write was in doubt");
    assert_eq!(retries[0].topic.as_str(), "reviewers");
    assert_eq!(retries[0].envelope.event.id, format!("evt-{event}"));
}

#[test]
fn schedule_2_a_dead_letter_names_the_group_that_failed_and_is_stored_once() {
    let mut world = world(Settings { in_doubt: 50, ..Settings::default() });
    world.spawn();
    let event = world.publish(Spec::keyed("k").then(nack(10)));
    let follower = world.publish(Spec::keyed("k"));
    finish(&mut world, 60_000);
    let letters: Vec<_> = world.broker.all(Class::Dlq).cloned().collect();
    assert_eq!(letters.len(), 1);
    let header = |name| letters[0].headers.get(name).unwrap().to_owned();
    assert_eq!((header(header::DLQ_GROUP), header(header::DLQ_COUNT)), ("reviewers".into(), "4".into()));
    assert_eq!(
        (header(header::DLQ_TOPIC), header(header::DLQ_CLASS)),
        ("project.tasks".into(), "temporary_failure".into())
    );
    assert_eq!(header(header::DLQ_MESSAGE), "busy");
    assert_eq!(letters[0].topic.as_str(), "project.tasks");
    assert_eq!(world.events[event].deliveries, 4);
    assert_eq!(world.delivered.last(), Some(&(follower, 1)), "the key goes on");
}

/// The broker loses its newest records; new ones take their positions.
fn lose_newest(world: &mut World, count: usize) {
    let log = world.broker.log((Class::Ev, Lane::Regular, P0));
    for _ in 0..count {
        let (last, _) = log.records.pop_last().expect("a record");
        log.end = last - 1;
    }
}

fn resets(world: &World) -> usize {
    world.alarms.iter().filter(|alarm| matches!(alarm, Alarm::LogReset { .. })).count()
}

#[test]
fn schedule_14_a_log_that_went_back_is_alarmed_and_its_new_records_are_read() {
    let mut world = world(Settings::default());
    let holder = world.spawn();
    world.publish_many(20, |_| Spec::default());
    world.run(2_000);
    ok(&mut world);
    lose_newest(&mut world, 10);
    world.crash(holder);
    world.spawn();
    world.run(LEASE + 1_000);
    let new: Vec<_> = (0..3).map(|_| world.publish(Spec::default())).collect();
    world.run(3_000);
    assert_eq!(resets(&world), 1);
    assert!(new.iter().all(|event| world.events[*event].deliveries == 1), "read, not skipped");
}

#[test]
fn schedule_14_also_when_the_log_has_grown_beyond_its_old_end_before_anybody_looked() {
    let mut world = world(Settings::default());
    let holder = world.spawn();
    for _ in 0..20 {
        world.publish(Spec::default());
        world.run(7);
    }
    world.run(2_000);
    ok(&mut world);
    world.crash(holder);
    world.lenient = true;
    lose_newest(&mut world, 10);
    world.run(500);
    let mark = world.cursors[&P0].marks.iter().map(|mark| mark.position.offset).max().unwrap();
    let new: Vec<_> = (0..60).map(|_| world.publish(Spec::default())).collect();
    // One of the new records has the very offset of the mark.
    let log = world.broker.log((Class::Ev, Lane::Regular, P0));
    assert!(log.end > mark);
    let (at, _) = log.records.range(mark..).next().map(|(at, record)| (*at, record.clone())).unwrap();
    let mut record = (*log.records.remove(&at).unwrap()).clone();
    record.position.offset = mark;
    world.events[index_of(&record.envelope)].origin = Some(record.position.clone());
    world.broker.log((Class::Ev, Lane::Regular, P0)).records.insert(mark, record.into());
    world.spawn();
    world.run(LEASE + 5_000);
    assert_eq!(resets(&world), 1);
    assert!(new.iter().all(|event| world.events[*event].deliveries > 0), "read, not skipped");
}

#[test]
fn schedule_14_a_log_that_goes_back_under_a_reader_is_noticed_by_its_times() {
    let mut world = world(Settings::default());
    let holder = world.spawn();
    world.publish_many(20, |_| Spec::default());
    world.run(2_000);
    lose_newest(&mut world, 10);
    let end = world.broker.log((Class::Ev, Lane::Regular, P0)).end;
    for tail in world.processes[holder].readings.values_mut().filter(|tail| tail.row.0 == Class::Ev) {
        tail.at = tail.at.min(end);
    }
    let new: Vec<_> = (0..3).map(|_| world.publish(Spec::default())).collect();
    world.run(2_000);
    assert_eq!(resets(&world), 1);
    assert!(new.iter().all(|event| world.events[*event].deliveries == 1));
}

fn make_anew(world: &mut World) {
    let log = world.broker.log((Class::Ev, Lane::Regular, P0));
    *log = sim::log::Log { incarnation: Incarnation(2), ..sim::log::Log::default() };
}

#[test]
fn schedule_15_positions_of_an_old_life_are_not_taken_for_new_ones() {
    for under_a_reader in [false, true] {
        let mut world = world(Settings::default());
        let holder = world.spawn();
        world.publish_many(10, |_| Spec::default());
        world.run(2_000);
        ok(&mut world);
        make_anew(&mut world);
        if under_a_reader {
            world.processes[holder].readings.values_mut().for_each(|tail| tail.at = 0);
        } else {
            world.crash(holder);
            world.spawn();
        }
        let new: Vec<_> = (0..30).map(|_| world.publish(Spec::default())).collect();
        world.run(LEASE + 3_000);
        assert_eq!(resets(&world), 1);
        assert!(new.iter().all(|event| world.events[*event].deliveries == 1), "{under_a_reader}");
    }
}

#[test]
fn schedule_15_a_log_emptied_by_retention_goes_on_where_it_was() {
    let mut world = world(Settings::default());
    let holder = world.spawn();
    world.publish_many(10, |_| Spec::default());
    world.run(2_000);
    let row = (Class::Ev, Lane::Regular, P0);
    let end = world.broker.log(row).end;
    world.broker.trim(row, end);
    world.crash(holder);
    world.spawn();
    world.publish(Spec::default());
    finish(&mut world, LEASE + 5_000);
    assert_eq!((resets(&world), world.gaps, world.delivered.len()), (0, 0, 11));
}

#[test]
fn schedule_16_the_second_of_a_key_waits_when_the_first_ones_sidecar_dies() {
    let mut world = world(Settings::default());
    let holder = world.spawn();
    let first = world.publish(Spec::keyed("k").script([Act::Ack(60_000)]));
    let second = world.publish(Spec::keyed("k"));
    world.run(500);
    world.spawn();
    world.run(500);
    world.crash(holder);
    finish(&mut world, LEASE + 10_000);
    assert_eq!(order(&world), [first, first, second]);
    assert_eq!(world.events[first].attempt, 2);
}

#[test]
fn schedule_22_ten_rolling_restarts_do_not_move_a_waiting_events_attempt() {
    let mut world = world(Settings { credit: (1, 1), ..Settings::default() });
    let mut member = world.spawn();
    let waits = world.publish(Spec::keyed("waits").script([nack(600_000)]));
    world.run(500);
    let unstarted = world.publish(Spec::keyed("unstarted").script((0..10).map(|_| Act::Silent)));
    world.run(500);
    for _ in 0..10 {
        let next = world.spawn();
        world.drain(member);
        let (at, token) = world.out(unstarted).expect("it is with somebody");
        assert_eq!(at, member);
        world.settle(member, token, Verdict::Release);
        world.run(300);
        world.leave(member);
        world.run(1_500);
        ok(&mut world);
        member = next;
    }
    finish(&mut world, 700_000);
    assert!(
        world
            .delivered
            .iter()
            .all(|(event, attempt)| *attempt == if *event == waits && world.now > 600_000 { *attempt } else { 1 })
    );
    let attempts = |of| world.delivered.iter().filter(|(event, _)| *event == of).map(|(_, a)| *a).collect::<Vec<_>>();
    assert_eq!(attempts(waits), [1, 2]);
    assert_eq!(attempts(unstarted), [1; 11]);
}

/// A pill among 500 healthy events in flight.
fn pill(kills: fn(u64) -> Act, sabotage: Option<Sabotage>) -> (World, usize) {
    let retry = RetryPolicy { initial_delay: Duration::from_millis(50), ..RetryPolicy::default() };
    let mut world = World::new(23, Settings { credit: (600, 600), retry, sabotage, ..Settings::default() });
    world.respawn = true;
    world.spawn();
    let healthy = |n: u64| Spec::keyed(&format!("k{n}")).script([Act::Ack(30_000)]).then(Act::Ack(12));
    world.publish_many(250, healthy);
    let pill = world.publish(Spec::keyed("pill").script([kills(500)]).then(kills(10)));
    world.publish_many(250, |n| healthy(n + 250));
    let end = world.now + 200_000;
    world.run_until(end, World::all_done);
    world.run(1_000);
    (world, pill)
}

#[test]
fn schedule_23_a_pill_that_kills_its_process_is_dead_lettered_and_none_of_its_neighbours() {
    for kills in [Act::KillProcess as fn(u64) -> Act, Act::KillConsumer] {
        let (mut world, pill) = pill(kills, None);
        world.check_end();
        ok(&mut world);
        let letters: Vec<_> = world.broker.all(Class::Dlq).map(|record| index_of(&record.envelope)).collect();
        assert_eq!(letters, [pill]);
        assert_eq!(world.events[pill].deliveries, 4, "four deliveries in all");
        let healthy = world.events.iter().enumerate().filter(|(index, _)| *index != pill);
        assert!(healthy.clone().all(|(_, event)| event.ever_acked));
        assert!(healthy.clone().all(|(_, event)| event.deliveries <= 3), "a neighbour is blamed once, not each time");
    }
}

#[test]
fn schedule_23_would_blame_the_neighbours_if_suspects_went_out_all_at_once() {
    let (world, _) = pill(Act::KillProcess, Some(Sabotage::SuspectsAtOnce));
    let letters = world.broker.all(Class::Dlq).count();
    assert!(letters > 1 || !world.violations.is_empty());
}

#[test]
fn schedule_24_other_keys_go_on_while_one_event_waits() {
    let mut world = world(Settings { credit: (256, 256), ..Settings::default() });
    world.spawn();
    let slow = world.publish(Spec::keyed("slow").script([Act::Ack(30_000)]));
    let waits = world.publish(Spec::keyed("slow"));
    world.publish(Spec::keyed("later").script([nack(30_000)]));
    for n in 0..3_000_u64 {
        let at = world.now + 100 + n;
        world.publish_at(at, Spec::keyed(&format!("k{}", n % 300)));
    }
    world.run(10_000);
    ok(&mut world);
    let others = world.delivered.iter().filter(|(event, _)| *event > waits).count();
    assert!(others > 3_000, "{others}");
    assert!(world.events[slow].acked_by.is_none() && world.events[waits].deliveries == 0);
    finish(&mut world, 60_000);
}

#[test]
fn schedule_35_a_planned_move_leaves_work_with_its_agent_and_the_key_held() {
    let mut world = world(Settings { word_loss: 40, ..Settings::default() });
    let old = world.spawn();
    let long = world.publish(Spec::keyed("k").script([Act::Ack(8_000)]));
    let second = world.publish(Spec::keyed("k"));
    world.run(500);
    let new = world.spawn();
    world.drain(old);
    world.run(1_000);
    let other = world.publish(Spec::keyed("other"));
    world.run(2_000);
    ok(&mut world);
    assert_eq!(world.delivered, [(long, 1), (other, 1)], "other keys go on at the new holder");
    assert!(world.processes[new].group.counters().delivered == 1);
    finish(&mut world, 20_000);
    assert_eq!(world.delivered, [(long, 1), (other, 1), (second, 1)]);
    let told: Vec<_> = world.told.iter().map(|told| (told.process, told.event)).collect();
    assert!(told.contains(&(old, long)), "its ack counts once, by the new holder: {told:?}");
}

#[test]
fn schedule_35_what_is_out_with_a_member_becomes_suspect_when_its_lease_ends() {
    let mut world = world(Settings::default());
    let old = world.spawn();
    let long = world.publish(Spec::keyed("k").script([Act::Ack(60_000)]));
    let second = world.publish(Spec::keyed("k"));
    world.run(500);
    world.spawn();
    world.drain(old);
    world.run(1_000);
    world.crash(old);
    world.run(LEASE - 500);
    assert_eq!(world.delivered, [(long, 1)]);
    finish(&mut world, 10_000);
    assert_eq!(world.delivered, [(long, 1), (long, 2), (second, 1)]);
}

#[test]
fn schedule_35_the_last_member_settles_what_is_out_although_nobody_takes_over() {
    let mut world = world(Settings::default());
    let only = world.spawn();
    let long = world.publish(Spec::keyed("k").script([Act::Ack(3_000)]));
    let late = world.publish(Spec::keyed("l").script([Act::Ack(90_000)]));
    let unread = world.publish(Spec::keyed("k"));
    world.run(500);
    world.drain(only);
    world.run(5_000);
    assert_eq!(world.told.len(), 1, "told while draining");
    world.leave(only);
    world.run(2_000);
    assert!(!world.processes[only].alive, "nothing keeps it");
    world.spawn();
    finish(&mut world, 10_000);
    assert_eq!(world.events.iter().map(|event| event.deliveries).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!([long, late, unread].map(|event| world.events[event].attempt), [1, 2, 1]);
}

#[test]
fn schedule_36_a_holder_that_wakes_after_its_lease_is_fenced_and_nothing_of_it_counts() {
    let mut world = world(Settings::default());
    let zombie = world.spawn();
    let event = world.publish(Spec::keyed("k").script([Act::Ack(LEASE + 2_000), Act::Ack(5_000)]));
    let second = world.publish(Spec::keyed("k"));
    world.run(500);
    world.spawn();
    world.pause(zombie, LEASE + 3_000);
    world.run(LEASE + 4_500);
    ok(&mut world);
    assert_eq!(world.delivered, [(event, 1), (event, 2)]);
    assert_eq!(world.counters(zombie).fenced, 1);
    assert!(world.told.is_empty(), "the zombie's ack is gone");
    finish(&mut world, 20_000);
    assert_eq!(order(&world), [event, event, second]);
}

#[test]
fn schedule_37_five_thousand_keys_wait_and_one_works_long_while_others_go_on() {
    let retry = RetryPolicy { max_retries: 10, ..RetryPolicy::default() };
    let settings = Settings { credit: (256, 256), retry, ..Settings::default() };
    let mut world = world(settings);
    world.spawn();
    let slow = world.publish(Spec::keyed("slow").script([Act::Ack(800_000)]));
    let failing = 5_000;
    for n in 0..failing {
        world.publish(Spec::keyed(&format!("f{n}")).script([nack(4_000)]));
    }
    let others: Vec<_> = (0..50).map(|n| world.publish(Spec::keyed(&format!("o{n}")))).collect();
    world.run(30_000);
    ok(&mut world);
    assert!(others.iter().all(|event| world.events[*event].ever_acked), "other keys go on");
    assert!(world.events[slow].acked_by.is_none());
    let acked = world.events.iter().filter(|event| event.ever_acked).count();
    assert_eq!(acked, failing + others.len());
    assert!(world.broker.cells[&P0].0.len() < 1_000, "the cursor is small again");
    finish(&mut world, 900_000);
}

#[test]
fn schedule_37_what_waits_long_is_written_again_so_that_the_cursor_has_room() {
    let mut world = world(Settings { credit: (1_000, 1_000), ..Settings::default() });
    world.spawn();
    for n in 0..1_500 {
        let delay = if n % 3 == 2 { 70_000 } else { 600_000 };
        world.publish(Spec::keyed(&format!("k{n}")).script([nack(delay)]));
    }
    world.run(90_000);
    ok(&mut world);
    let acked = world.events.iter().filter(|event| event.ever_acked).count();
    assert_eq!(acked, 500, "those that are due aren't held up by those that aren't");
    let written = world.broker.all(Class::Retry).count();
    assert!(written > 1_500 + 500, "{written}");
    assert!(world.cursors[&P0].unsettled() < 700, "{}", world.cursors[&P0].unsettled());
    finish(&mut world, 700_000);
}

#[test]
fn schedule_40_what_retention_took_from_a_slow_reader_is_told() {
    let mut world = world(Settings { credit: (1, 1), read_ahead: 4, ..Settings::default() });
    let holder = world.spawn();
    world.publish_many(40, |_| Spec::default().then(Act::Ack(200)));
    world.run(1_000);
    let row = (Class::Ev, Lane::Regular, P0);
    let cut = world.broker.log(row).records.keys().nth(30).copied().unwrap();
    world.broker.trim(row, cut);
    world.run(60_000);
    ok(&mut world);
    assert_eq!((world.gaps, world.counters(holder).gaps), (1, 1));
    let delivered = world.delivered.len();
    assert!((12..20).contains(&delivered), "those read before, and the nine behind the gap: {delivered}");
}
