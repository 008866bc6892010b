//! Subscriptions, resume, drain and the end.

use super::*;

#[test]
fn after_a_resume_the_unsettled_are_told_again_unchanged() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d1, _) = play.deliver(key, record("e1", Headers::default()));
    let (d2, _) = play.deliver(key, record("e2", Headers::default()));
    play.say(&json!({"op":"ack","deliveries":[d1]}));
    let effects = play.input(Input::Detached);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Credit(k, 0) if *k == key)));
    play.now.mono = Duration::from_secs(29);
    assert!(play.input(Input::Tick).is_empty());
    let told = frames(&play.input(Input::Attached));
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["delivery"], &told[0]["attempt"]), (&json!(d2), &json!(1)));
}

#[test]
fn a_session_without_a_socket_ends_with_its_window_and_its_work_counts() {
    let mut play = Play::new();
    play.input(Input::Detached);
    assert_eq!(play.session.next_deadline(), Some(Duration::from_secs(30)));
    play.now.mono = Duration::from_secs(30);
    assert!(matches!(play.input(Input::Tick)[..], [Effect::End(Leave::Lost)]));
}

#[test]
fn bye_gives_everything_back_uncounted() {
    let mut play = Play::new();
    let effects = play.say(&json!({"op":"bye"}));
    assert!(matches!(&effects[..], [Effect::Close(1000, _), Effect::End(Leave::Clean)]));
}

#[test]
fn no_delivery_precedes_its_subscribed() {
    let mut play = Play::new();
    let effects = play.say(&json!({"op":"subscribe","sub":"s","topics":["t"]}));
    let Some(Effect::Join(key, _)) = effects.last() else { panic!("no join") };
    let key = *key;
    let delivered = |id| {
        let record = Arc::new(record(id, Headers::default()));
        ConsumerEvent::Deliver(Delivered { token: Token(9), record, attempt: 1, idempotency_key: "k".into() })
    };
    assert!(play.input(Input::Consumer(key, delivered("e1"))).is_empty());
    let told = frames(&play.input(Input::Joined(key, Ok(()))));
    assert_eq!((&told[0]["op"], &told[1]["op"]), (&json!("subscribed"), &json!("deliver")));
}

#[test]
fn a_subscription_that_can_not_be_made_says_why() {
    let mut play = Play::new();
    play.subscribe();
    for (frame, code) in [
        (json!({"sub":"s","topics":["t"]}), "protocol"),
        (json!({"sub":"x","topics":["t"],"filter":"((("}), "bad_filter"),
        (json!({"sub":"x","topics":["t"],"from":{"position":"nowhere"}}), "protocol"),
        (json!({"sub":"x","topics":["t"],"credit":-1}), "protocol"),
    ] {
        let mut frame = frame;
        frame["op"] = json!("subscribe");
        let told = frames(&play.say(&frame));
        assert_eq!((&told[0]["op"], &told[0]["code"], &told[0]["sub"]), (&json!("error"), &json!(code), &frame["sub"]));
    }
    for n in 0..3 {
        play.say(&json!({"op":"subscribe","sub":format!("n{n}"),"topics":["t"]}));
    }
    let told = frames(&play.say(&json!({"op":"subscribe","sub":"n4","topics":["t"]})));
    assert_eq!(told[0]["code"], "busy");
}

#[test]
fn drain_gives_back_what_was_not_written_and_takes_acks_on() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d1, _) = play.deliver(key, record("e1", Headers::default()));
    let (d2, _) = play.deliver(key, record("e2", Headers::default()));
    let effects = play.input(Input::Unsent(d2.clone()));
    assert_eq!(verdicts(&effects), [Verdict::Release]);
    let told = frames(&play.input(Input::Drain { grace: Duration::from_secs(20), reason: "r".into() }));
    assert_eq!((&told[0]["op"], &told[0]["grace_ms"]), (&json!("goaway"), &json!(20_000)));
    assert_eq!(verdicts(&play.say(&json!({"op":"ack","deliveries":[d1]}))), [Verdict::Ack]);
    let late = Delivered {
        token: Token(99),
        record: Arc::new(record("e3", Headers::default())),
        attempt: 1,
        idempotency_key: "k".into(),
    };
    let effects = play.input(Input::Consumer(key, ConsumerEvent::Deliver(late)));
    assert_eq!((verdicts(&effects), frames(&effects).len()), (vec![Verdict::Release], 0));
}

#[test]
fn an_ack_with_outputs_just_before_bye_counts() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d, _) = play.deliver(key, record("e1", Headers::default()));
    let output = json!({"event":{"type":"Y"},"routing":{"topic":"t"}});
    let (ticket, records) = publishes(play.say(&json!({"op":"ack","deliveries":[d],"publish":[output]}))).remove(0);
    assert!(play.say(&json!({"op":"bye"})).is_empty());
    let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], false))));
    assert_eq!(verdicts(&effects), [Verdict::Ack]);
    assert!(matches!(effects[effects.len() - 2..], [Effect::Close(1000, _), Effect::End(Leave::Clean)]));
}

/// Credit effects for a consumer, and the frames.
fn credits(effects: &[Effect], key: ConsumerKey) -> Vec<u32> {
    let credit = |effect: &Effect| match effect {
        Effect::Credit(k, ceiling) if *k == key => Some(*ceiling),
        _ => None,
    };
    effects.iter().filter_map(credit).collect()
}

fn joining(play: &mut Play) -> ConsumerKey {
    let effects = play.say(&json!({"op":"subscribe","sub":"s","topics":["t"],"credit":5}));
    let Some(Effect::Join(key, _)) = effects.last() else { panic!("no join") };
    *key
}

#[test]
fn credit_that_came_before_the_consumer_stood_counts() {
    let mut play = Play::new();
    let key = joining(&mut play);
    play.say(&json!({"op":"credit","sub":"s","add":2}));
    assert_eq!(credits(&play.input(Input::Joined(key, Ok(()))), key), [7]);
}

#[test]
fn a_consumer_that_stands_only_after_the_drain_gets_nothing() {
    let mut play = Play::new();
    let key = joining(&mut play);
    play.input(Input::Drain { grace: Duration::from_secs(20), reason: "r".into() });
    assert_eq!(credits(&play.input(Input::Joined(key, Ok(()))), key), [0]);
}

#[test]
fn subscribed_is_told_after_the_resume_where_nobody_could_be_told() {
    let mut play = Play::new();
    let key = joining(&mut play);
    play.input(Input::Detached);
    let effects = play.input(Input::Joined(key, Ok(())));
    assert_eq!((frames(&effects), credits(&effects, key)), (vec![], vec![0]));
    let effects = play.input(Input::Attached);
    assert_eq!(frames(&effects), [json!({"op":"subscribed","sub":"s"})]);
    assert_eq!(credits(&effects, key), [5]);
    play.input(Input::Detached);
    assert!(frames(&play.input(Input::Attached)).is_empty(), "told once");
}

#[test]
fn an_idle_session_keeps_no_room_for_what_it_once_had() {
    assert!(size_of::<Session>() < 1_536, "{} bytes", size_of::<Session>());
    let mut play = Play::with(Policy::default(), 1_024);
    let key = play.subscribe();
    for seq in 1..=3_000 {
        let (d, token) = play.deliver(key, record("e", Headers::default()));
        let mut frame = publish_frame(seq);
        frame["cause"] = json!(d);
        play.say_stored(&frame);
        play.say(&json!({"op":"ack","deliveries":[d]}));
        play.input(Input::Consumer(key, ConsumerEvent::Settled(token)));
    }
    assert!(play.session.purposes.is_empty() && play.session.storing.is_empty() && play.session.answering.is_empty());
    assert_eq!(play.session.kept(), (32, 2_048, 1_024), "answers, numbers of outputs, causes");
}
