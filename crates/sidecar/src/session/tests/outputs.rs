//! Settling: outputs of an ack, and what is gone.

use super::*;

#[test]
fn the_outputs_of_a_delivery_are_numbered_in_one_row_and_refused_ones_do_not_count() {
    let run = |refused: bool| {
        let mut play = Play::new();
        let key = play.subscribe();
        let (d, _) = play.deliver(key, record("e1", Headers::default()));
        let mut seq = 0;
        let mut ids = Vec::new();
        if refused {
            seq += 1;
            play.say_stored(&json!({"op":"publish","seq":seq,"event":{"type":""},"routing":{"topic":"t"},"cause":d}));
        }
        seq += 1;
        let out = play.say(&json!({"op":"publish","seq":seq,"event":{"type":"X"},"routing":{"topic":"t"},"cause":d}));
        ids.extend(publishes(out).into_iter().map(|(_, records)| records[0].envelope.event.id.clone()));
        let ack = json!({"op":"ack","deliveries":[d],"publish":[{"event":{"type":"Y"},"routing":{"topic":"t"}}]});
        ids.extend(publishes(play.say(&ack)).into_iter().map(|(_, records)| records[0].envelope.event.id.clone()));
        ids
    };
    let ids = run(false);
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(run(true), ids);
}

#[test]
fn outputs_are_all_checked_before_the_first_is_stored_and_stored_before_the_settlement() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d, token) = play.deliver(key, record("e1", Headers::default()));
    let good = json!({"event":{"type":"Y"},"routing":{"topic":"t"}});
    let bad = json!({"event":{"type":"Y"},"routing":{}});
    let effects = play.say(&json!({"op":"ack","deliveries":[d],"publish":[good, bad],"confirm":true}));
    let told = frames(&effects);
    assert_eq!((&told[0]["op"], &told[0]["delivery"], &told[0]["index"]), (&json!("rejected"), &json!(d), &json!(1)));
    assert!(verdicts(&effects).is_empty() && publishes(effects).is_empty());

    let effects = play.say(&json!({"op":"ack","deliveries":[d],"publish":[good],"confirm":true}));
    assert!(verdicts(&effects).is_empty());
    let (ticket, records) = publishes(effects).remove(0);
    assert_eq!(records[0].envelope.event.causation_id.as_deref(), Some("e1"));
    assert_eq!(records[0].envelope.event.correlation_id, "c");
    let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], true))));
    assert_eq!(verdicts(&effects), [Verdict::Ack]);
    let told = frames(&play.input(Input::Consumer(key, ConsumerEvent::Settled(token))));
    assert_eq!(told[0]["deliveries"], json!([d]));
    assert_eq!(told[0]["published"][0]["duplicate"], true);
}

#[test]
fn an_ack_that_failed_can_be_sent_again_with_the_same_ids() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d, _) = play.deliver(key, record("e1", Headers::default()));
    let ack = json!({"op":"ack","deliveries":[d],"publish":[{"event":{"type":"Y"},"routing":{"topic":"t"}}]});
    let first = play.say(&ack);
    let Effect::Publish(_, records) = &first[0] else { panic!("{first:?}") };
    let id = records[0].envelope.event.id.clone();
    let told = play.fail(first, &PublishError::Unavailable("full".into()));
    assert_eq!((&told[0]["code"], &told[0]["index"]), (&json!("backend_unavailable"), &json!(0)));
    assert_eq!(publishes(play.say(&ack))[0].1[0].envelope.event.id, id);
}

#[test]
fn settling_what_is_not_held_is_gone() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d, token) = play.deliver(key, record("e1", Headers::default()));
    for frame in [
        json!({"op":"ack","deliveries":["dxxx"]}),
        json!({"op":"nack","delivery":"dxxx","class":"timeout"}),
        json!({"op":"reject","delivery":"dxxx"}),
        json!({"op":"extend","delivery":"dxxx","for":"1s"}),
        json!({"op":"release","deliveries":["dxxx"]}),
        json!({"op":"respond","delivery":"dxxx"}),
    ] {
        assert_eq!(frames(&play.say(&frame)), [json!({"op":"gone","delivery":"dxxx"})], "{frame}");
    }
    play.input(Input::Consumer(key, ConsumerEvent::Revoked(token)));
    assert_eq!(frames(&play.say(&json!({"op":"ack","deliveries":[d]})))[0]["op"], "gone");
    let (d, _) = play.deliver(key, record("e2", Headers::default()));
    assert_eq!(verdicts(&play.say(&json!({"op":"ack","deliveries":[d]}))), [Verdict::Ack]);
    assert_eq!(frames(&play.say(&json!({"op":"ack","deliveries":[d]})))[0]["op"], "gone");
}

fn ids(effects: Vec<Effect>) -> Vec<String> {
    publishes(effects).into_iter().map(|(_, records)| records[0].envelope.event.id.clone()).collect()
}

#[test]
fn a_publish_behind_an_ack_that_fails_shares_no_id_with_its_outputs() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d, _) = play.deliver(key, record("e1", Headers::default()));
    let output = json!({"event":{"type":"Y"},"routing":{"topic":"t"}});
    let ack = json!({"op":"ack","deliveries":[d],"publish":[output]});
    let publish =
        |seq| json!({"op":"publish","seq":seq,"event":{"type":"X"},"routing":{"topic":"t"},"cause":d.clone()});
    let first = play.say(&ack);
    let mut all = ids(play.say(&publish(1)));
    let failed = first.iter().map(|effect| match effect {
        Effect::Publish(ticket, records) => Effect::Publish(*ticket, records.clone()),
        other => panic!("{other:?}"),
    });
    play.fail(failed.collect(), &PublishError::Unavailable("full".into()));
    let output = ids(first);
    assert_eq!(ids(play.say(&ack)), output, "the same ID when it comes again");
    all.extend(output);
    all.extend(ids(play.say(&publish(2))));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3, "each its own ID");
}

#[test]
fn the_outputs_of_a_request_keep_their_ids_when_its_answer_fails() {
    let mut play = Play::new();
    let (d, _) = play.deliver(DIRECT, record("q1", call_headers()));
    let output = json!({"event":{"type":"Y"},"routing":{"topic":"t"}});
    let ack = json!({"op":"ack","deliveries":[d],"publish":[output]});
    let (ticket, records) = publishes(play.say(&ack)).remove(0);
    let answer = play.input(Input::Receipt(ticket, Ok(stored(&records[0], false))));
    play.fail(answer, &PublishError::Unavailable("full".into()));
    assert_eq!(ids(play.say(&ack)), [records[0].envelope.event.id.clone()]);
}

#[test]
fn a_verdict_that_comes_again_while_it_is_stored_is_answered_once() {
    let mut play = Play::new();
    let key = play.subscribe();
    let (d, token) = play.deliver(key, record("e1", Headers::default()));
    let output = json!({"event":{"type":"Y"},"routing":{"topic":"t"}});
    let mut ack = json!({"op":"ack","deliveries":[d],"publish":[output]});
    let (ticket, records) = publishes(play.say(&ack)).remove(0);
    ack["confirm"] = json!(true);
    for frame in [ack, json!({"op":"nack","delivery":d,"class":"timeout"})] {
        assert!(play.say(&frame).is_empty(), "{frame}");
    }
    let extend = play.say(&json!({"op":"extend","delivery":d,"for":"1s"}));
    assert!(matches!(extend[..], [Effect::Extend(..)]), "it is still the agent's");
    let effects = play.input(Input::Receipt(ticket, Ok(stored(&records[0], false))));
    assert_eq!(verdicts(&effects), [Verdict::Ack]);
    let told = frames(&play.input(Input::Consumer(key, ConsumerEvent::Settled(token))));
    assert_eq!(told[0]["op"], "settled", "as the repeat asked");
}
