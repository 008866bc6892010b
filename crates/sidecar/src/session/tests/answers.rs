//! Answers that come early, twice, late, or while something is in doubt.

use super::{
    calls::{answer, ask, request},
    *,
};

fn given(request_id: &str, token: u64) -> Input {
    let record = Arc::new(answer(request_id));
    let delivered = Delivered { token: Token(token), record, attempt: 1, idempotency_key: "k".into() };
    Input::Consumer(DIRECT, ConsumerEvent::Deliver(delivered))
}

#[test]
fn an_answer_to_a_request_in_doubt_is_told_and_the_call_is_not_opened_again() {
    for early in [true, false] {
        let mut play = Play::new();
        let effects = play.say(&request(1, "c1"));
        let Effect::Publish(_, records) = &effects[0] else { panic!("{effects:?}") };
        let id = records[0].envelope.event.id.clone();
        let mut told = if early { frames(&play.input(given(&id, 9))) } else { vec![] };
        assert!(told.is_empty(), "its published comes first");
        told.extend(play.fail(effects, &PublishError::InDoubt("lost".into())));
        if !early {
            told.extend(frames(&play.input(given(&id, 9))));
        }
        assert_eq!((&told[0]["code"], &told[1]["op"]), (&json!("in_doubt"), &json!("reply")));
        assert_eq!(play.say_stored(&request(1, "c1"))[0]["op"], "published");
        assert_eq!(play.session.next_deadline(), None, "no second reply will come");
    }
}

#[test]
fn a_short_deadline_does_not_keep_the_clock_busy_while_nobody_is_there() {
    let mut play = Play::new();
    let mut frame = request(1, "c1");
    frame["deadline"] = json!("100ms");
    let frame = ClientFrame::parse(&frame.to_string()).map_err(Box::new);
    play.session.handle(play.now, &Nobody, Input::Frame(frame));
    let mut published = Vec::new();
    for _ in 0..3 {
        let due = play.session.next_deadline().unwrap();
        assert!(due > play.now.mono, "{due:?} is over");
        play.now.mono = due;
        play.session.handle(play.now, &Nobody, Input::Tick);
        published = play.session.effects();
        if !published.is_empty() {
            break;
        }
    }
    assert_eq!(play.now.mono, Duration::from_millis(100));
    assert_eq!(play.store(published)[1]["status"], "no_responders");
}

#[test]
fn an_answer_that_came_before_its_published_and_the_cancel_stands() {
    let mut play = Play::new();
    let effects = play.say(&request(1, "c1"));
    let Effect::Publish(_, records) = &effects[0] else { panic!("{effects:?}") };
    play.input(given(&records[0].envelope.event.id, 9));
    assert!(frames(&play.say(&json!({"op":"cancel","call":"c1"}))).is_empty());
    let told = play.store(effects);
    assert_eq!((&told[0]["op"], &told[1]["status"]), (&json!("published"), &json!("ok")));
    let effects = play.say(&json!({"op":"ack","deliveries":[told[1]["delivery"]]}));
    assert!(matches!(&effects[..], [Effect::Settle(DIRECT, verdicts)] if verdicts[..] == [(Token(9), Verdict::Ack)]));
}

#[test]
fn a_reply_whose_lease_ended_is_told_again_after_a_resume_and_settled_with_the_next() {
    let mut play = Play::new();
    let id = ask(&mut play);
    let d = frames(&play.input(given(&id, 9)))[0]["delivery"].clone();
    assert!(play.input(Input::Consumer(DIRECT, ConsumerEvent::Revoked(Token(9)))).is_empty());
    play.input(Input::Detached);
    assert_eq!(frames(&play.input(Input::Attached))[0]["delivery"], d);
    assert!(play.input(given(&id, 10)).is_empty(), "the agent has it");
    let effects = play.say(&json!({"op":"ack","deliveries":[d]}));
    assert!(matches!(&effects[..], [Effect::Settle(DIRECT, verdicts)] if verdicts[..] == [(Token(10), Verdict::Ack)]));
}

#[test]
fn an_answer_that_was_in_doubt_and_is_stored_counts_when_it_comes_again() {
    let mut play = Play::new();
    let (d, _) = play.deliver(DIRECT, record("q1", call_headers()));
    let respond = json!({"op":"respond","delivery":d,"confirm":true});
    let effects = play.say(&respond);
    play.fail(effects, &PublishError::InDoubt("lost".into()));
    let (ticket, records) = publishes(play.say(&respond)).remove(0);
    let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], true))));
    assert_eq!((verdicts(&effects), frames(&effects)), (vec![Verdict::Ack], vec![]));

    let (d, _) = play.deliver(DIRECT, record("q2", call_headers()));
    let respond = json!({"op":"respond","delivery":d});
    let effects = play.say(&respond);
    play.fail(effects, &PublishError::InDoubt("lost".into()));
    let (ticket, records) = publishes(play.say(&respond)).remove(0);
    let others = Stored { id: "somebody else's".into(), ..stored(&records[0], true) };
    assert_eq!(frames(&play.input(Input::Receipt(ticket, Ok(others))))[0]["op"], "gone");
}

#[test]
fn a_request_that_is_answered_too_late_is_given_back_so_that_its_caller_is_told() {
    let mut play = Play::new();
    let (d, _) = play.deliver(DIRECT, record("q1", call_headers()));
    play.now.wall = Timestamp::from_millis(30_001);
    let effects = play.say(&json!({"op":"respond","delivery":d}));
    assert_eq!((verdicts(&effects), &frames(&effects)[0]["op"]), (vec![Verdict::Release], &json!("gone")));
}

#[test]
fn a_cancel_does_not_settle_what_is_being_settled() {
    let mut play = Play::new();
    let (d, token) = play.deliver(DIRECT, record("q1", call_headers()));
    let nack = json!({"op":"nack","delivery":d,"class":"timeout","confirm":true});
    assert_eq!(verdicts(&play.say(&nack)).len(), 1);
    assert!(play.input(Input::Cancelled("q1".into())).is_empty());
    let told = frames(&play.input(Input::Consumer(DIRECT, ConsumerEvent::Settled(token))));
    assert_eq!(told, [json!({"op":"settled","deliveries":[d]})]);
}
