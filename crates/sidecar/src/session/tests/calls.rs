//! Requests and answers, from both sides.

use super::*;

#[test]
fn published_is_told_only_after_the_brokers_answer() {
    let mut play = Play::new();
    let effects = play.say(&publish_frame(1));
    assert!(frames(&effects).is_empty());
    let told = play.store(effects);
    assert_eq!(
        (&told[0]["op"], &told[0]["seq"], &told[0]["duplicate"]),
        (&json!("published"), &json!(1), &json!(false))
    );
}

pub(super) fn request(seq: u64, call: &str) -> Value {
    json!({"op":"request","seq":seq,"call":call,"deadline":"10s","event":{"type":"AskQuery"},"routing":{"to":"/b"}})
}

#[test]
fn more_calls_than_may_be_open_are_busy_until_one_is_answered() {
    let mut play = Play::new();
    for seq in 1..=3 {
        let told = play.say_stored(&request(seq, &format!("c{seq}")));
        assert_eq!(told[0]["op"], "published");
    }
    for seq in [4, 5, 4] {
        let told = frames(&play.say(&request(seq, &format!("c{seq}"))));
        assert_eq!((&told[0]["op"], &told[0]["code"]), (&json!("rejected"), &json!("busy")), "{told:?}");
        assert!(told[0]["retry_after_ms"].is_u64());
    }
    assert_eq!(play.say_stored(&json!({"op":"cancel","call":"c2"}))[0]["status"], "cancelled");
    assert_eq!(play.say_stored(&request(4, "c4"))[0]["op"], "published");
}

pub(super) fn answer(request_id: &str) -> Record {
    let mut record = record("r1", Headers::default().with(header::CALL, "c1").with(header::STATUS, "ok"));
    record.position.class = Class::Inbox;
    let envelope = Arc::make_mut(&mut record.envelope);
    envelope.event.causation_id = Some(request_id.into());
    record
}

pub(super) fn ask(play: &mut Play) -> String {
    let effects = play.say(&request(1, "c1"));
    let Effect::Publish(_, records) = &effects[0] else { panic!("{effects:?}") };
    let id = records[0].envelope.event.id.clone();
    assert_eq!(records[0].topic.as_str(), "agent.b");
    assert_eq!(records[0].headers.get(header::CALL), Some("c1"));
    assert_eq!(play.store(effects)[0]["op"], "published");
    id
}

#[test]
fn an_answer_reaches_its_caller_once_and_is_settled_by_ack() {
    let mut play = Play::new();
    let id = ask(&mut play);
    let (d, token) = play.deliver(DIRECT, answer(&id));
    assert_eq!(verdicts(&play.say(&json!({"op":"ack","deliveries":[d]}))), [Verdict::Ack]);
    play.input(Input::Consumer(DIRECT, ConsumerEvent::Settled(token)));
    let again = Delivered { token: Token(50), record: Arc::new(answer(&id)), attempt: 2, idempotency_key: "k".into() };
    let effects = play.input(Input::Consumer(DIRECT, ConsumerEvent::Deliver(again)));
    assert_eq!((verdicts(&effects), frames(&effects).len()), (vec![Verdict::Ack], 0));
}

#[test]
fn an_answer_from_before_a_restart_is_told_all_the_same() {
    let mut play = Play::new();
    let told = {
        let delivered =
            Delivered { token: Token(1), record: Arc::new(answer("old")), attempt: 1, idempotency_key: "k".into() };
        frames(&play.input(Input::Consumer(DIRECT, ConsumerEvent::Deliver(delivered))))
    };
    assert_eq!((&told[0]["op"], &told[0]["call"], &told[0]["status"]), (&json!("reply"), &json!("c1"), &json!("ok")));
}

#[test]
fn a_deadline_that_the_responders_side_saw_ends_the_call_here_or_after_a_move() {
    let late = |id: &str, status: &str| {
        let mut record = answer(id);
        record.headers.set(header::STATUS, status);
        ConsumerEvent::Deliver(Delivered {
            token: Token(9),
            record: Arc::new(record),
            attempt: 1,
            idempotency_key: "k".into(),
        })
    };
    let mut here = Play::new();
    let id = ask(&mut here);
    let effects = here.input(Input::Consumer(DIRECT, late(&id, "timeout")));
    let told = frames(&effects);
    assert_eq!((&told[0]["status"], verdicts(&effects)), (&json!("timeout"), vec![]), "kept until the agent acks");
    let effects = here.input(Input::Consumer(DIRECT, late(&id, "timeout")));
    assert_eq!((verdicts(&effects), frames(&effects).len()), (vec![Verdict::Ack], 0), "told once");
    let effects = here.say(&json!({"op":"ack","deliveries":[told[0]["delivery"]]}));
    assert_eq!(verdicts(&effects), [Verdict::Ack]);

    for (status, payload) in [("timeout", json!(1)), ("default", json!(1))] {
        let mut moved = Play::new();
        let told = frames(&moved.input(Input::Consumer(DIRECT, late("old", status))));
        assert_eq!((&told[0]["call"], &told[0]["status"]), (&json!("c1"), &json!(status)));
        assert_eq!((&told[0]["payload"], told[0].get("event")), (&payload, None));
    }
}

/// The conclusion that is to be stored, and what it says.
fn conclusion(effects: Vec<Effect>) -> (Ticket, Outgoing) {
    let (ticket, records) = publishes(effects).remove(0);
    let record = records.into_iter().next().unwrap();
    assert_eq!(record.topic.as_str(), "reply.a");
    (ticket, record)
}

#[test]
fn an_answer_that_was_stored_before_the_deadline_stands_however_late_it_comes() {
    let mut play = Play::new();
    let id = ask(&mut play);
    play.now.mono = Duration::from_secs(10);
    let (ticket, record) = conclusion(play.input(Input::Tick));
    assert_eq!(record.dedup.as_ref().unwrap().key, format!("answer/{id}"));
    assert!(play.input(Input::Receipt(ticket, Ok(stored(&record, true)))).is_empty(), "another answer is under way");
    let (_, told) = play.hear(answer(&id));
    assert_eq!((&told["call"], &told["status"]), (&json!("c1"), &json!("ok")));
    play.now.mono = Duration::from_secs(60);
    assert!(play.input(Input::Tick).is_empty(), "one reply");
}

#[test]
fn a_timeout_that_cannot_be_stored_yet_is_tried_again_and_told_once() {
    let mut play = Play::new();
    ask(&mut play);
    play.now.mono = Duration::from_secs(10);
    let (ticket, record) = conclusion(play.input(Input::Tick));
    let away = PublishError::Unavailable("away".into());
    assert!(play.input(Input::Receipt(ticket, Err(away))).is_empty());
    play.now.mono = play.session.next_deadline().unwrap();
    let (again, same) = conclusion(play.input(Input::Tick));
    assert_eq!((&same.dedup, &same.envelope), (&record.dedup, &record.envelope), "to the letter");
    let told = frames(&play.input(Input::Receipt(again, Ok(stored(&same, false)))));
    assert_eq!((told.len(), &told[0]["status"]), (1, &json!("timeout")));
}

#[test]
fn an_answer_that_is_being_stored_when_its_lease_ends_counts_if_it_was_the_first() {
    for (duplicate, op) in [(false, "settled"), (true, "gone")] {
        let mut play = Play::new();
        let (d, token) = play.deliver(DIRECT, record("q1", call_headers()));
        let effects = play.say(&json!({"op":"respond","delivery":d,"payload":1,"confirm":true}));
        let (ticket, records) = publishes(effects).remove(0);
        play.now.wall = Timestamp::from_millis(30_000);
        assert!(play.input(Input::Consumer(DIRECT, ConsumerEvent::Revoked(token))).is_empty());
        let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], duplicate))));
        assert_eq!(frames(&effects)[0]["op"], op);
    }
}

#[test]
fn a_request_to_all_is_refused() {
    let mut play = Play::new();
    let mut frame = request(1, "c1");
    frame["routing"] = json!({"to": "all"});
    let told = frames(&play.say(&frame));
    assert_eq!((&told[0]["op"], &told[0]["seq"]), (&json!("rejected"), &json!(1)));
}

#[test]
fn whoever_works_beyond_a_deadline_is_told_that_it_works_in_vain() {
    let mut play = Play::new();
    let (d, token) = play.deliver(DIRECT, record("q1", call_headers()));
    play.now.wall = Timestamp::from_millis(30_000);
    let told = frames(&play.input(Input::Consumer(DIRECT, ConsumerEvent::Revoked(token))));
    assert_eq!(told, [json!({"op":"cancelled","delivery":d})]);
}

#[test]
fn a_default_travels_with_its_request() {
    let mut play = Play::new();
    let mut frame = request(1, "c1");
    frame["default"] = json!({"n": 7});
    let (_, records) = publishes(play.say(&frame)).remove(0);
    assert_eq!(records[0].headers.get(header::DEFAULT), Some(r#"{"n":7}"#));
}

#[test]
fn a_deadline_ends_a_call_with_timeout_or_its_default() {
    for (default, status, payload) in [(None, "timeout", Value::Null), (Some(json!(7)), "default", json!(7))] {
        let mut play = Play::new();
        let mut frame = request(1, "c1");
        if let Some(default) = default {
            frame["default"] = default;
        }
        play.say_stored(&frame);
        assert_eq!(play.session.next_deadline(), Some(Duration::from_secs(10)));
        play.now.mono = Duration::from_secs(10);
        let effects = play.input(Input::Tick);
        let told = play.store(effects);
        assert_eq!(
            (&told[0]["op"], &told[0]["status"], &told[0]["payload"]),
            (&json!("reply"), &json!(status), &payload)
        );
        let d = told[0]["delivery"].as_str().unwrap();
        let told = frames(&play.say(&json!({"op":"ack","deliveries":[d],"confirm":true})));
        assert_eq!(told, [json!({"op":"settled","deliveries":[d]})]);
    }
}

#[test]
fn nobody_there_is_told_within_a_second_and_the_work_is_not_left_lying() {
    let mut play = Play::new();
    let frame = ClientFrame::parse(&request(1, "c1").to_string()).map_err(Box::new);
    play.session.handle(play.now, &Nobody, Input::Frame(frame));
    assert!(play.session.effects().is_empty());
    play.now.mono = Duration::from_millis(500);
    play.session.handle(play.now, &Nobody, Input::Tick);
    let effects = play.session.effects();
    let Effect::Publish(_, records) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(records[0].headers.get(header::EXPIRY), Some(&*play.now.wall.to_string()));
    let told = play.store(effects);
    assert_eq!((&told[0]["op"], &told[1]["status"]), (&json!("published"), &json!("no_responders")));
}

#[test]
fn a_cancelled_call_tells_its_responder() {
    let mut play = Play::new();
    let id = ask(&mut play);
    let effects = play.say(&json!({"op":"cancel","call":"c1"}));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Cancel(request) if *request == id)));
    assert_eq!(play.store(effects)[0]["status"], "cancelled");
    assert_eq!(frames(&play.say(&json!({"op":"cancel","call":"c1"})))[0]["code"], "protocol");
}

#[test]
fn a_responder_answers_once_and_then_its_delivery_is_settled() {
    let mut play = Play::new();
    let (d, token) = play.deliver(DIRECT, record("q1", call_headers()));
    let effects = play.say(&json!({"op":"respond","delivery":d,"payload":{"x":1},"confirm":true}));
    let (ticket, records) = publishes(effects).remove(0);
    assert_eq!(records[0].topic.as_str(), "reply.b");
    assert_eq!(records[0].envelope.payload.as_str(), r#"{"x":1}"#);
    assert_eq!(records[0].envelope.event.causation_id.as_deref(), Some("q1"));
    let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], false))));
    assert_eq!(verdicts(&effects), [Verdict::Ack]);
    assert_eq!(frames(&play.input(Input::Consumer(DIRECT, ConsumerEvent::Settled(token))))[0]["op"], "settled");
}

#[test]
fn a_bare_ack_answers_with_null_and_a_reject_with_an_error() {
    for (frame, status, payload, verdict) in [
        (json!({"op":"ack"}), "ok", "null", Verdict::Ack),
        (json!({"op":"reject","reason":"no"}), "error", r#"{"reason":"no"}"#, Verdict::Reject { reason: "no".into() }),
    ] {
        let mut play = Play::new();
        let (d, _) = play.deliver(DIRECT, record("q1", call_headers()));
        let mut frame = frame;
        frame["deliveries"] = json!([d]);
        frame["delivery"] = json!(d);
        let (ticket, records) = publishes(play.say(&frame)).remove(0);
        assert_eq!(records[0].headers.get(header::STATUS), Some(status));
        assert_eq!(records[0].envelope.payload.as_str(), payload);
        let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], false))));
        assert_eq!(verdicts(&effects), [verdict]);
    }
}

#[test]
fn an_answer_that_is_late_or_not_the_first_is_gone() {
    let mut play = Play::new();
    let (d, _) = play.deliver(DIRECT, record("q1", call_headers()));
    let (ticket, records) = publishes(play.say(&json!({"op":"respond","delivery":d}))).remove(0);
    let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], true))));
    assert_eq!(verdicts(&effects), [Verdict::Ack]);
    assert_eq!(frames(&effects)[0]["op"], "gone");

    let (d, _) = play.deliver(DIRECT, record("q2", call_headers()));
    play.now.wall = Timestamp::from_millis(30_001);
    let effects = play.say(&json!({"op":"respond","delivery":d}));
    assert_eq!(frames(&effects)[0]["op"], "gone");
}

#[test]
fn a_cancelled_request_is_taken_from_its_responder() {
    let mut play = Play::new();
    let (d, _) = play.deliver(DIRECT, record("q1", call_headers()));
    let effects = play.input(Input::Cancelled("q1".into()));
    assert_eq!(frames(&effects), [json!({"op":"cancelled","delivery":d})]);
    assert_eq!(verdicts(&effects), [Verdict::Ack]);
    assert_eq!(frames(&play.say(&json!({"op":"respond","delivery":d})))[0]["op"], "gone");
}

#[test]
fn a_request_with_a_cause_follows_from_it_and_can_be_asked_again() {
    let ask = |seq: u64| {
        let mut play = Play::new();
        let key = play.subscribe();
        for earlier in 1..seq {
            play.say_stored(&publish_frame(earlier));
        }
        let (d, _) = play.deliver(key, record("e1", Headers::default()));
        let mut frame = request(seq, "c1");
        frame["cause"] = json!(d);
        let (_, records) = publishes(play.say(&frame)).remove(0);
        records[0].clone()
    };
    let (first, second) = (ask(1), ask(2));
    assert_eq!(first.envelope.event.causation_id.as_deref(), Some("e1"));
    assert_eq!((first.envelope.event.correlation_id.as_str(), first.envelope.routing.hops), ("c", 1));
    assert_ne!(first.dedup, second.dedup);
    assert_ne!(first.envelope.event.id, second.envelope.event.id);
}

#[test]
fn an_answer_to_an_earlier_call_of_the_same_name_is_not_taken_for_this_ones() {
    let mut play = Play::new();
    ask(&mut play);
    let old =
        Delivered { token: Token(60), record: Arc::new(answer("older")), attempt: 1, idempotency_key: "k".into() };
    let effects = play.input(Input::Consumer(DIRECT, ConsumerEvent::Deliver(old)));
    assert_eq!((verdicts(&effects), frames(&effects).len()), (vec![Verdict::Ack], 0));
}
