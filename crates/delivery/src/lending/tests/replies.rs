//! Requests and their answers at the desk.

use super::*;

/// A request whose deadline is two seconds away.
fn request(n: u64) -> Record {
    let asked = with(with(record(n), header::CALL, "c1"), header::REPLY_TO, "/b");
    with(asked, header::EXPIRY, &Timestamp::from_millis(3_000).to_string())
}

fn is_unanswered(settling: &Settling) -> bool {
    matches!(settling.before, Some(Before::Unanswered(..))) && settling.settlement == Settlement::Ack
}

#[test]
fn a_request_ends_at_its_deadline_whatever_its_lease_and_its_caller_is_told() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    table.pulled(INBOX, vec![of(request(1))]);
    let token = table.handed(seat)[0];
    table.desk.extend(seat, token, Duration::from_secs(3_600), table.start);
    table.desk.tick(table.start + Duration::from_millis(1_999));
    assert!(table.events(seat).is_empty(), "before its deadline");
    table.desk.tick(table.start + Duration::from_secs(2));
    assert!(matches!(table.events(seat)[..], [ConsumerEvent::Revoked(revoked)] if revoked == token));
    assert!(is_unanswered(&table.settlements(INBOX)[0]));
    table.desk.settle(seat, vec![(token, Verdict::Ack)]);
    assert!(matches!(table.events(seat)[..], [ConsumerEvent::Gone(_)]), "too late");
}

#[test]
fn a_request_found_after_its_deadline_is_answered_for_its_responder() {
    let mut table = table();
    let seat = table.seat(1, 10, &[INBOX]);
    let expired = with(request(1), header::EXPIRY, &Timestamp::from_millis(999).to_string());
    table.pulled(INBOX, vec![QueueDelivery { suspect: true, ..of(expired) }, of(request(2))]);
    assert_eq!(table.handed(seat).len(), 1);
    assert!(is_unanswered(&table.settlements(INBOX)[0]));
}

// === answers ===

fn reply(n: u64, caller: u64, member: &str) -> QueueDelivery {
    let record = with(record(n), header::CALLER, &format!("/a#{caller}"));
    of(with(record, CALLER_MEMBER, member))
}

#[test]
fn an_answer_prefers_its_caller_and_uses_no_credit() {
    let mut table = table();
    let (a, b) = (table.seat(1, 0, &[REPLIES]), table.seat(2, 0, &[REPLIES]));
    table.pulled(REPLIES, vec![reply(1, 2, "me"), reply(2, 2, "me"), reply(3, 1, "elsewhere")]);
    assert_eq!((table.handed(a).len(), table.handed(b).len()), (1, 2));
}

#[test]
fn an_answer_whose_caller_is_gone_goes_to_any_session_of_the_agent() {
    let mut table = table();
    let a = table.seat(1, 0, &[REPLIES]);
    table.pulled(REPLIES, vec![reply(1, 9, "me"), reply(2, 9, "gone")]);
    assert_eq!(table.handed(a).len(), 2);
}

#[test]
fn an_answer_waits_for_its_callers_member_while_that_has_the_agent() {
    let mut table = table();
    let a = table.seat(1, 0, &[REPLIES]);
    let agent = AgentName::parse("/a").unwrap();
    let presence = Presence { agent, pools: vec![], capabilities: vec![], sessions: 1 };
    table.view = View::with_member("other", vec![presence.into()]);
    table.pulled(REPLIES, vec![reply(1, 9, "other")]);
    assert_eq!(table.handed(a), []);
    let settlement = table.settlements(REPLIES).remove(0).settlement;
    assert_eq!(settlement, Settlement::Nak { delay: Duration::from_millis(20), counted: false });
    table.view = View::default();
    table.pulled(REPLIES, vec![reply(1, 9, "other")]);
    assert_eq!(table.handed(a).len(), 1);
}

#[test]
fn who_hands_an_answer_back_twice_steps_aside_for_the_other_member() {
    let mut table = table();
    table.seat(1, 0, &[REPLIES]);
    let agent = AgentName::parse("/a").unwrap();
    let presence = Presence { agent, pools: vec![], capabilities: vec![], sessions: 1 };
    table.view = View::with_member("other", vec![presence.into()]);
    table.pulled(REPLIES, vec![reply(1, 9, "other")]);
    assert!(matches!(table.demand(REPLIES), Demand::Pull(_)));
    table.pulled(REPLIES, vec![reply(1, 9, "other")]);
    assert_eq!(table.demand(REPLIES), Demand::Wait(Some(table.now + Duration::from_millis(40))));
}

#[test]
fn an_answer_never_becomes_a_dead_letter_and_finds_the_next_session_at_once() {
    let mut table = table();
    let a = table.seat(1, 0, &[REPLIES]);
    table.pulled(REPLIES, vec![QueueDelivery { attempt: 99, ..reply(1, 1, "me") }]);
    table.desk.leave(a, Leave::Lost);
    let settling = table.settlements(REPLIES).remove(0);
    assert_eq!(settling.settlement, Settlement::Nak { delay: Duration::ZERO, counted: true });
    assert!(settling.before.is_none());
}
