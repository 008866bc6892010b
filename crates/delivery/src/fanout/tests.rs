//! A fan-out's behaviour, without tails.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_backend::{Record, Trimmed, header};
use handbell_protocol::{
    Lane, Priority, Timestamp,
    frame::{From, Order, RetryPolicy},
};

use super::core::Core;
use crate::{
    ConsumerEvent, ConsumerKey, Delivered, FanoutSpec, Mailbox, MemberOptions, Token, Verdict,
    counts::Counters,
    post::Post,
    testing::{keyed, of_type, record, with},
};

struct Fanout {
    core: Core,
    now: Instant,
    counters: Arc<Counters>,
}

fn fanout(order: Order, credit: u32) -> Fanout {
    let spec = FanoutSpec {
        topics: vec![],
        filter: None,
        order,
        ack_wait: Duration::from_secs(30),
        retry: RetryPolicy { max_retries: 1, ..RetryPolicy::default() },
        from: From::New,
        receiver: "/a s1".into(),
        level: true,
    };
    let counters = Arc::<Counters>::default();
    let post = Post::new(Mailbox::default(), ConsumerKey(0));
    let options = MemberOptions { read_ahead_events: 10, ..MemberOptions::default() };
    let mut core = Core::new(&spec, post, options, Arc::clone(&counters));
    core.credit(credit);
    Fanout { core, now: Instant::now(), counters }
}

impl Fanout {
    fn events(&mut self) -> Vec<ConsumerEvent> {
        self.core.advance(self.now, Timestamp::from_millis(0));
        self.core.outbox.take()
    }

    fn delivered(&mut self) -> Vec<Delivered> {
        let delivered = |event| match event {
            ConsumerEvent::Deliver(delivered) => Some(delivered),
            _ => None,
        };
        self.events().into_iter().filter_map(delivered).collect()
    }

    fn ids(&mut self) -> Vec<String> {
        self.delivered().iter().map(|delivered| delivered.record.envelope.event.id.clone()).collect()
    }

    fn read(&mut self, records: impl IntoIterator<Item = Record>) {
        self.core.read(records.into_iter().map(Arc::new));
    }

    fn settle(&mut self, token: Token, verdict: Verdict) {
        self.core.settle(vec![(token, verdict)], self.now);
    }
}

fn nack() -> Verdict {
    Verdict::Nack { class: "temporary_failure".into(), reason: String::new(), delay: None }
}

#[test]
fn credit_bounds_what_is_out_and_settling_frees_it() {
    let mut fanout = fanout(Order::Key, 2);
    fanout.read((1..=3).map(record));
    let out = fanout.delivered();
    assert_eq!(out.len(), 2);
    fanout.settle(out[0].token, Verdict::Ack);
    assert_eq!(fanout.ids(), ["e3"]);
    fanout.settle(out[0].token, Verdict::Ack);
    assert!(matches!(fanout.events()[..], [ConsumerEvent::Gone(_)]));
}

#[test]
fn a_key_has_one_unsettled_delivery_while_other_keys_go_on() {
    let mut fanout = fanout(Order::Key, 9);
    let of = |offset, key| keyed(offset, Some(key), Priority::Normal);
    fanout.read([of(1, "k"), of(2, "k"), of(3, "other"), of(4, "k")]);
    let out = fanout.delivered();
    assert_eq!(out.len(), 2);
    fanout.settle(out[0].token, Verdict::Ack);
    assert_eq!(fanout.ids(), ["e2"]);
}

#[test]
fn a_failed_event_holds_its_key_until_it_comes_back() {
    let mut fanout = fanout(Order::Key, 9);
    let of = |offset| keyed(offset, Some("k"), Priority::Normal);
    fanout.read([of(1), of(2)]);
    let first = fanout.delivered().remove(0);
    fanout.settle(first.token, nack());
    assert_eq!(fanout.ids(), [""; 0]);
    fanout.now += Duration::from_secs(1);
    let again = fanout.delivered().remove(0);
    assert_eq!((again.attempt, &*again.record.envelope.event.id), (2, "e1"));
    assert_eq!(again.idempotency_key, first.idempotency_key);
    fanout.settle(again.token, nack());
    assert_eq!(fanout.ids(), ["e2"], "given up after its last retry, and the key goes on");
    assert_eq!(fanout.counters.read().given_up, 1);
}

#[test]
fn without_order_a_key_holds_nothing() {
    let mut fanout = fanout(Order::None, 9);
    let of = |offset| keyed(offset, Some("k"), Priority::Normal);
    fanout.read([of(1), of(2)]);
    assert_eq!(fanout.ids(), ["e1", "e2"]);
}

#[test]
fn the_more_urgent_comes_first_among_what_is_read_ahead() {
    let mut fanout = fanout(Order::Key, 0);
    let priorities = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
    fanout.read((1..).zip(priorities).map(|(offset, priority)| keyed(offset, None, priority)));
    fanout.core.credit(9);
    assert_eq!(fanout.ids(), ["e4", "e3", "e2", "e1"]);
}

#[test]
fn a_key_keeps_its_order_whatever_its_priorities() {
    let mut fanout = fanout(Order::Key, 0);
    let of = |offset, priority| keyed(offset, Some("k"), priority);
    fanout.read([of(1, Priority::High), of(2, Priority::Critical)]);
    fanout.core.credit(9);
    assert_eq!(fanout.ids(), ["e1"]);
}

#[test]
fn a_full_window_stops_the_reading() {
    let mut fanout = fanout(Order::Key, 0);
    assert_eq!(fanout.core.room(), 10);
    fanout.read((1..=10).map(record));
    assert_eq!(fanout.core.room(), 0);
    fanout.core.credit(4);
    assert_eq!(fanout.ids().len(), 4);
    assert_eq!(fanout.core.room(), 4);
}

#[test]
fn level_comes_once_when_both_lanes_are_and_all_before_it_is_handed_out() {
    let mut fanout = fanout(Order::Key, 1);
    fanout.read([record(1), record(2)]);
    let first = fanout.delivered().remove(0);
    fanout.core.lane_is_level(Lane::Regular);
    assert!(fanout.events().is_empty());
    fanout.core.lane_is_level(Lane::Express);
    fanout.read([record(3)]);
    assert!(fanout.events().is_empty(), "e2 has not been handed out");
    fanout.settle(first.token, nack());
    let events = fanout.events();
    assert!(
        matches!(events[..], [ConsumerEvent::Settled(_), ConsumerEvent::Deliver(_), ConsumerEvent::Level]),
        "{events:?}"
    );
}

#[test]
fn a_fan_out_over_nothing_is_level() {
    let mut fanout = fanout(Order::Key, 1);
    Lane::ALL.into_iter().for_each(|lane| fanout.core.lane_is_level(lane));
    assert!(matches!(fanout.events()[..], [ConsumerEvent::Level]));
}

#[test]
fn an_ended_lease_is_revoked_and_comes_again() {
    let mut fanout = fanout(Order::Key, 1);
    fanout.read([record(1)]);
    let token = fanout.delivered().remove(0).token;
    fanout.core.connected(false, fanout.now);
    fanout.now += Duration::from_secs(30);
    assert!(matches!(fanout.events()[..], [ConsumerEvent::Revoked(revoked)] if revoked == token));
    fanout.now += Duration::from_secs(1);
    assert!(fanout.delivered().is_empty(), "nobody is there");
    fanout.core.connected(true, fanout.now);
    assert_eq!(fanout.delivered()[0].attempt, 2);
}

#[test]
fn an_extended_lease_outlasts_a_lost_connection() {
    let mut fanout = fanout(Order::Key, 1);
    fanout.read([record(1)]);
    let token = fanout.delivered().remove(0).token;
    fanout.core.extend(token, Duration::from_secs(3_600), fanout.now);
    fanout.core.connected(false, fanout.now);
    fanout.now += Duration::from_secs(3_599);
    assert!(fanout.events().is_empty());
    fanout.now += Duration::from_secs(1);
    assert!(matches!(fanout.events()[..], [ConsumerEvent::Revoked(_)]));
}

#[test]
fn a_reject_a_failed_notification_and_an_expired_command_are_dropped_and_counted() {
    let mut fanout = fanout(Order::Key, 9);
    let expired = with(record(3), header::EXPIRY, &Timestamp::from_millis(0).to_string());
    fanout.read([record(1), of_type(record(2), "ThingNotification"), expired]);
    let out = fanout.delivered();
    assert_eq!(out.len(), 2);
    fanout.settle(out[0].token, Verdict::Reject { reason: String::new() });
    fanout.settle(out[1].token, nack());
    let counts = fanout.counters.read();
    assert_eq!((counts.given_up, counts.notifications, counts.expired), (1, 1, 1));
}

#[test]
fn a_released_event_comes_again_without_a_count() {
    let mut fanout = fanout(Order::Key, 1);
    fanout.read([record(1)]);
    let token = fanout.delivered().remove(0).token;
    fanout.settle(token, Verdict::Release);
    assert_eq!(fanout.delivered()[0].attempt, 1);
}

#[test]
fn a_gap_is_told() {
    let mut fanout = fanout(Order::Key, 1);
    let position = record(1).position;
    fanout.core.gap(Trimmed { from: position.clone(), to: position, count: None });
    assert!(matches!(fanout.events()[..], [ConsumerEvent::Gap(_)]));
}
