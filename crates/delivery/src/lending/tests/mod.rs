//! The desk's behaviour, without a backend.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_backend::{QueueDelivery, QueueToken, Record, Settlement, header};
use handbell_protocol::{AgentName, Timestamp, frame::RetryPolicy};

use super::{
    demand::Demand,
    desk::{Before, Desk, Kind, Rules, SeatId, Settling, SourceId},
    hand_out::Scene,
};
use crate::{
    ConsumerEvent, ConsumerKey, DeadLetter, Leave, Mailbox, MemberId, Presence, Token, Verdict, View,
    counts::Counters,
    identity::Shares,
    inbox::CALLER_MEMBER,
    post::Post,
    testing::{of_type, record, with},
};

mod replies;

const ACK_WAIT: Duration = Duration::from_secs(30);
const MAX_PROCESSING: Duration = Duration::from_secs(900);
const INBOX: SourceId = SourceId(1);
const POOL: SourceId = SourceId(2);
const REPLIES: SourceId = SourceId(3);

struct Table {
    desk: Desk,
    start: Instant,
    now: Instant,
    mailboxes: Vec<(SeatId, Mailbox)>,
    view: View,
    counters: Arc<Counters>,
}

fn table() -> Table {
    let counters = Arc::<Counters>::default();
    let mut desk = Desk::new(MAX_PROCESSING, Shares::new(1), Arc::clone(&counters));
    let replies = Kind::Replies(AgentName::parse("/a").unwrap());
    for (source, kind) in [(INBOX, Kind::Work), (POOL, Kind::Work), (REPLIES, replies)] {
        desk.open(source, Rules { receiver: "/a".into(), retry: RetryPolicy::default(), ack_wait: ACK_WAIT, kind });
    }
    let start = Instant::now();
    Table { desk, start, now: start, mailboxes: Vec::new(), view: View::default(), counters }
}

impl Table {
    fn seat(&mut self, id: u64, credit: u32, sources: &[SourceId]) -> SeatId {
        let (seat, mailbox) = (SeatId(id), Mailbox::default());
        let post = Post::new(mailbox.clone(), ConsumerKey(0));
        self.desk.seat(seat, post, Some(format!("/a#{id}")), sources, false);
        self.desk.credit(seat, credit);
        self.mailboxes.push((seat, mailbox));
        seat
    }

    fn pulled(&mut self, source: SourceId, deliveries: Vec<QueueDelivery>) {
        let member = MemberId::from("me");
        let scene = Scene { now: self.now, wall: Timestamp::from_millis(1_000), view: &self.view, member: &member };
        let deliveries = deliveries.into_iter().map(|delivery| (delivery, true)).collect();
        self.desk.pulled(source, deliveries, scene);
        self.desk.outbox.flush();
    }

    fn events(&mut self, seat: SeatId) -> Vec<ConsumerEvent> {
        self.desk.outbox.flush();
        let mailbox = self.mailboxes.iter().find(|(id, _)| *id == seat).map(|(_, mailbox)| mailbox.clone());
        mailbox.unwrap().try_take().into_iter().map(|(_, event)| event).collect()
    }

    /// The tokens that a seat was handed since it was last asked.
    fn handed(&mut self, seat: SeatId) -> Vec<Token> {
        let tokens = |event| match event {
            ConsumerEvent::Deliver(delivered) => Some(delivered.token),
            _ => None,
        };
        self.events(seat).into_iter().filter_map(tokens).collect()
    }

    fn settlements(&mut self, source: SourceId) -> Vec<Settling> {
        self.desk.take_settling(source, 100)
    }

    fn demand(&self, source: SourceId) -> Demand {
        self.desk.demand(source, self.now)
    }

    /// A pull of a healthy record makes the desk take more at a time.
    fn warm_up(&mut self, source: SourceId, seat: SeatId) {
        self.pulled(source, vec![item(1_000)]);
        let token = self.handed(seat)[0];
        self.desk.settle(seat, vec![(token, Verdict::Ack)]);
        self.settlements(source);
        self.events(seat);
    }
}

fn buried(settling: Settling) -> (Arc<Record>, DeadLetter) {
    match settling.before {
        Some(Before::Buried(record, letter)) => (record, letter),
        other => panic!("no dead letter: {other:?}"),
    }
}

fn item(n: u64) -> QueueDelivery {
    of(record(n))
}

fn of(record: Record) -> QueueDelivery {
    let token = QueueToken { item: record.position.offset, lease: 1 };
    QueueDelivery { record: Arc::new(record), attempt: 1, suspect: false, token }
}

fn suspect(n: u64, attempt: u32) -> QueueDelivery {
    QueueDelivery { suspect: true, attempt, ..item(n) }
}

const HANDED_BACK: Settlement = Settlement::Nak { delay: Duration::ZERO, counted: false };

#[test]
fn one_credit_is_shared_by_all_queues_of_a_consumer() {
    let mut table = table();
    let seat = table.seat(1, 2, &[INBOX, POOL]);
    table.warm_up(INBOX, seat);
    table.warm_up(POOL, seat);
    assert_eq!([table.demand(INBOX), table.demand(POOL)], [Demand::Pull(2); 2]);
    table.pulled(INBOX, vec![item(1)]);
    assert_eq!(table.demand(POOL), Demand::Pull(1));
    table.pulled(POOL, vec![item(2), item(3)]);
    assert_eq!(table.handed(seat).len(), 2);
    assert_eq!(table.demand(INBOX), Demand::Wait(None));
    assert_eq!(table.settlements(POOL)[0].settlement, HANDED_BACK, "what was pulled beyond the credit");
}

#[test]
fn settling_frees_credit_and_wakes_every_queue_of_the_consumer() {
    let mut table = table();
    let seat = table.seat(1, 1, &[INBOX, POOL]);
    table.pulled(INBOX, vec![item(1)]);
    let token = table.handed(seat)[0];
    table.desk.woken.clear();
    table.desk.settle(seat, vec![(token, Verdict::Ack)]);
    assert_eq!(table.desk.woken.iter().copied().collect::<Vec<_>>(), [INBOX, POOL]);
    assert!(matches!(table.demand(POOL), Demand::Pull(_)));
}

#[test]
fn work_goes_to_the_least_loaded_and_in_turn() {
    let mut table = table();
    let (a, b) = (table.seat(1, 10, &[POOL]), table.seat(2, 10, &[POOL, INBOX]));
    table.pulled(INBOX, vec![item(1)]);
    table.pulled(POOL, vec![item(2)]);
    assert_eq!((table.handed(a).len(), table.handed(b).len()), (1, 1), "b has one from its inbox");
    table.pulled(POOL, vec![item(3), item(4)]);
    assert_eq!((table.handed(a).len(), table.handed(b).len()), (1, 1));
}

#[test]
fn a_second_verdict_and_another_consumers_verdict_are_gone() {
    let mut table = table();
    let (a, b) = (table.seat(1, 10, &[INBOX]), table.seat(2, 0, &[INBOX]));
    table.pulled(INBOX, vec![item(1)]);
    let token = table.handed(a)[0];
    table.desk.settle(b, vec![(token, Verdict::Ack)]);
    table.desk.settle(a, vec![(token, Verdict::Ack), (token, Verdict::Ack)]);
    assert!(matches!(table.events(b)[..], [ConsumerEvent::Gone(gone)] if gone == token));
    assert!(matches!(table.events(a)[..], [ConsumerEvent::Gone(gone)] if gone == token));
    assert_eq!(table.settlements(INBOX).len(), 1);
}

#[test]
fn a_nack_comes_again_by_the_policy_or_exactly_when_it_says() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    let nack = |delay| Verdict::Nack { class: "temporary_failure".into(), reason: String::new(), delay };
    table.pulled(INBOX, vec![item(1), QueueDelivery { attempt: 2, ..item(2) }, item(3)]);
    let tokens = table.handed(seat);
    let verdicts = [nack(None), nack(None), nack(Some(Duration::from_secs(60)))];
    table.desk.settle(seat, tokens.into_iter().zip(verdicts).collect());
    let delays: Vec<Settlement> = table.settlements(INBOX).into_iter().map(|settling| settling.settlement).collect();
    let counted = |seconds| Settlement::Nak { delay: Duration::from_secs(seconds), counted: true };
    assert_eq!(delays, [counted(1), counted(2), counted(60)]);
}

#[test]
fn the_fourth_failure_and_a_reject_are_dead_letters() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    table.pulled(INBOX, vec![QueueDelivery { attempt: 4, ..item(1) }, item(2)]);
    let tokens = table.handed(seat);
    let nack = Verdict::Nack { class: "temporary_failure".into(), reason: "no".into(), delay: None };
    let reject = Verdict::Reject { reason: "never".into() };
    table.desk.settle(seat, tokens.into_iter().zip([nack, reject]).collect());
    let dead: Vec<_> = table.settlements(INBOX).into_iter().map(|settling| buried(settling).1).collect();
    assert_eq!((dead[0].class.as_str(), dead[0].attempts), ("temporary_failure", 4));
    assert_eq!((dead[1].class.as_str(), dead[1].attempts), ("rejected", 1));
    assert_eq!(table.counters.read().dead_letters, 2);
}

#[test]
fn a_failed_notification_is_dropped_and_counted() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    table.pulled(INBOX, vec![of(of_type(record(1), "ThingNotification"))]);
    let token = table.handed(seat)[0];
    let nack = Verdict::Nack { class: "temporary_failure".into(), reason: String::new(), delay: None };
    table.desk.settle(seat, vec![(token, nack)]);
    let settling = table.settlements(INBOX).remove(0);
    assert!(settling.before.is_none() && matches!(settling.settlement, Settlement::Term { .. }));
    assert_eq!(table.counters.read().notifications, 1);
}

#[test]
fn an_expired_command_is_never_handed_out() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    let past = with(record(1), header::EXPIRY, &Timestamp::from_millis(1_000).to_string());
    let future = with(record(2), header::EXPIRY, &Timestamp::from_millis(1_001).to_string());
    table.pulled(INBOX, vec![of(past), of(future)]);
    assert_eq!(table.handed(seat).len(), 1);
    assert_eq!(table.settlements(INBOX)[0].settlement, Settlement::Ack);
    assert_eq!(table.counters.read().expired, 1);
}

#[test]
fn an_expired_lease_is_a_failure_of_class_timeout_and_frees_the_credit() {
    let mut table = table();
    let seat = table.seat(1, 1, &[INBOX]);
    table.pulled(INBOX, vec![item(1)]);
    let token = table.handed(seat)[0];
    table.desk.tick(table.start + MAX_PROCESSING - Duration::from_millis(1));
    assert!(table.events(seat).is_empty());
    table.desk.tick(table.start + MAX_PROCESSING);
    assert!(matches!(table.events(seat)[..], [ConsumerEvent::Revoked(revoked)] if revoked == token));
    let counted = Settlement::Nak { delay: Duration::from_secs(1), counted: true };
    assert_eq!(table.settlements(INBOX)[0].settlement, counted);
    assert!(matches!(table.demand(INBOX), Demand::Pull(_)));
}

#[test]
fn a_lost_connection_shortens_the_lease_and_its_return_restores_it() {
    let mut table = table();
    let seat = table.seat(1, 2, &[INBOX]);
    table.pulled(INBOX, vec![item(1)]);
    table.desk.connected(seat, false, table.start);
    assert_eq!(table.desk.next_deadline(), Some(table.start + ACK_WAIT / 3), "the backend's lease is renewed");
    assert_eq!(table.demand(INBOX), Demand::Wait(None), "nothing new while it is away");
    table.desk.connected(seat, true, table.start + Duration::from_secs(1));
    table.desk.tick(table.start + ACK_WAIT);
    assert_eq!(table.handed(seat).len(), 1);
    table.desk.connected(seat, false, table.start + ACK_WAIT);
    table.desk.tick(table.start + ACK_WAIT * 2);
    assert!(matches!(table.events(seat)[..], [ConsumerEvent::Revoked(_)]));
}

#[test]
fn leases_with_the_backend_are_renewed_while_something_is_out() {
    let mut table = table();
    let seat = table.seat(1, 2, &[INBOX]);
    table.pulled(INBOX, vec![item(1), item(2)]);
    assert!(table.desk.renewals(table.start + ACK_WAIT / 3 - Duration::from_millis(1)).is_empty());
    let due = table.desk.renewals(table.start + ACK_WAIT / 3);
    assert_eq!((due.len(), due[0].items.len(), due[0].ack_wait), (1, 2, ACK_WAIT));
    let tokens = table.handed(seat);
    table.desk.settle(seat, tokens.into_iter().map(|token| (token, Verdict::Ack)).collect());
    assert!(table.desk.renewals(table.start + ACK_WAIT).is_empty());
    assert_eq!(table.desk.next_deadline(), None, "an idle desk waits for nothing");
}

#[test]
fn what_the_backend_has_taken_away_is_revoked_without_a_settlement() {
    let mut table = table();
    let seat = table.seat(1, 1, &[INBOX]);
    table.pulled(INBOX, vec![item(1)]);
    let token = table.handed(seat)[0];
    table.desk.taken_away(token);
    assert!(matches!(table.events(seat)[..], [ConsumerEvent::Revoked(_)]));
    assert!(table.settlements(INBOX).is_empty());
}

#[test]
fn a_clean_leave_counts_nothing_and_a_lost_consumer_counts_an_attempt() {
    for (how, expected) in
        [(Leave::Clean, HANDED_BACK), (Leave::Lost, Settlement::Nak { delay: Duration::from_secs(1), counted: true })]
    {
        let mut table = table();
        let seat = table.seat(1, 1, &[INBOX]);
        table.pulled(INBOX, vec![item(1)]);
        table.desk.leave(seat, how);
        assert_eq!(table.settlements(INBOX)[0].settlement, expected);
        assert_eq!(table.demand(INBOX), Demand::Closed);
    }
}

#[test]
fn a_drained_desk_hands_out_nothing_and_still_takes_verdicts() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    table.pulled(INBOX, vec![item(1)]);
    let token = table.handed(seat)[0];
    table.desk.drain();
    assert_eq!(table.demand(INBOX), Demand::Wait(None));
    table.pulled(INBOX, vec![item(2)]);
    assert_eq!(table.handed(seat), []);
    assert_eq!(table.settlements(INBOX)[0].settlement, HANDED_BACK);
    table.desk.settle(seat, vec![(token, Verdict::Ack)]);
    assert_eq!(table.settlements(INBOX)[0].settlement, Settlement::Ack);
}

#[test]
fn a_source_is_forgotten_only_when_nothing_of_it_is_left() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    table.pulled(INBOX, vec![item(1)]);
    table.desk.leave(seat, Leave::Clean);
    assert!(!table.desk.is_done(INBOX), "something is to be settled and the puller is at work");
    assert_eq!(table.settlements(INBOX).len(), 1);
    table.desk.puller_is_done(INBOX);
    assert!(!table.desk.is_done(INBOX), "a settlement is under way");
    table.desk.settled(INBOX, 1);
    assert!(table.desk.is_done(INBOX));
}

// === suspects ===

#[test]
fn the_first_pull_takes_one_because_it_may_be_a_suspect() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    assert_eq!(table.demand(INBOX), Demand::Pull(1));
    table.warm_up(INBOX, seat);
    assert_eq!(table.demand(INBOX), Demand::Pull(10));
}

#[test]
fn suspects_are_handed_out_one_at_a_time() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    table.warm_up(INBOX, seat);
    table.pulled(INBOX, vec![item(1), suspect(2, 2), suspect(3, 2)]);
    assert_eq!(table.handed(seat).len(), 1, "a crowd of suspects is handed back, the healthy one isn't");
    assert_eq!(table.settlements(INBOX).len(), 2);
    assert_eq!(table.demand(INBOX), Demand::Pull(1));
    table.pulled(INBOX, vec![suspect(2, 2)]);
    let first = table.handed(seat)[0];
    assert!(matches!(table.demand(INBOX), Demand::Wait(Some(_))), "it has time to bring its process down");
    table.now += Duration::from_secs(1);
    table.pulled(INBOX, vec![suspect(3, 2)]);
    assert_eq!(table.handed(seat), []);
    assert!(matches!(table.settlements(INBOX)[0].settlement, Settlement::Nak { counted: false, .. }));
    table.desk.settle(seat, vec![(first, Verdict::Ack)]);
    assert_eq!(table.demand(INBOX), Demand::Pull(1), "the next one may come at once");
    table.pulled(INBOX, vec![suspect(3, 2)]);
    assert_eq!(table.handed(seat).len(), 1);
}

#[test]
fn a_record_that_killed_its_process_four_times_is_a_dead_letter() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    table.pulled(INBOX, vec![suspect(1, 5)]);
    assert_eq!(table.handed(seat), []);
    let (_, letter) = buried(table.settlements(INBOX).remove(0));
    assert_eq!((letter.class.as_str(), letter.attempts), ("lost", 4));
}
