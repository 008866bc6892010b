//! Publishing: answers, refusals, repeats, addresses.

use super::*;

#[test]
fn each_fault_of_a_publish_has_its_code_and_harms_no_other() {
    let scopes = [(
        AgentName::parse("/a").unwrap(),
        crate::policy::Scopes {
            publish: vec![crate::policy::Scope::parse("t").unwrap()],
            subscribe: vec![crate::policy::Scope::parse("t").unwrap()],
        },
    )];
    let mut play = Play::with(Policy { scopes: scopes.into(), ..Policy::default() }, 4);
    assert_eq!(play.say_stored(&publish_frame(1))[0]["op"], "published");
    let large = "x".repeat(1_000);
    for (seq, frame, code) in [
        (2, json!({"event":{"type":"X","source":"/b"},"routing":{"topic":"t"}}), "forbidden_source"),
        (3, json!({"event":{"type":"X"},"routing":{"topic":"u"}}), "forbidden_topic"),
        (4, json!({"event":{"type":"X"},"routing":{"topic":"handbell.x"}}), "forbidden_topic"),
        (5, json!({"event":{},"routing":{"topic":"t"}}), "invalid_envelope"),
        (6, json!({"event":{"type":"X"},"payload":large,"routing":{"topic":"t"}}), "too_large"),
        (7, json!({"event":{"type":"X"},"routing":{"topic":"t"},"cause":"d1"}), "invalid_envelope"),
        (8, json!({"event":{"type":"X"},"routing":{"topic":"t"},"cause":7}), "protocol"),
        (10, json!({"event":{"type":"X"},"routing":{"topic":"t"}}), "seq_gap"),
        (1, json!({"event":{"type":"Y"},"routing":{"topic":"t"}}), "duplicate_seq"),
    ] {
        let mut frame = frame;
        frame["op"] = json!("publish");
        frame["seq"] = json!(seq);
        let told = play.say_stored(&frame);
        assert_eq!(
            (&told[0]["op"], &told[0]["seq"], &told[0]["code"]),
            (&json!("rejected"), &json!(seq), &json!(code))
        );
    }
    let again = play.say_stored(&publish_frame(1));
    assert_eq!((&again[0]["op"], &again[0]["duplicate"]), (&json!("published"), &json!(true)));
    assert_eq!(play.say_stored(&publish_frame(9))[0]["op"], "published");
}

#[test]
fn a_publish_in_doubt_keeps_its_seq_and_its_id() {
    let mut play = Play::new();
    let first = play.say(&publish_frame(1));
    let id = |effects: &[Effect]| match &effects[0] {
        Effect::Publish(_, records) => (records[0].envelope.event.id.clone(), records[0].dedup.clone()),
        other => panic!("{other:?}"),
    };
    let identity = id(&first);
    let told = play.fail(first, &PublishError::InDoubt("lost".into()));
    assert_eq!(told[0]["code"], "in_doubt");
    assert_eq!(frames(&play.say(&publish_frame(2)))[0]["code"], "in_doubt");
    assert_eq!(id(&play.say(&publish_frame(1))), identity);
}

#[test]
fn an_event_for_all_goes_to_each_agent_but_its_sender() {
    let mut play = Play::new();
    let effects = play.say(&json!({"op":"publish","seq":1,"event":{"type":"X"},"routing":{"to":"all"}}));
    let topics: Vec<_> = publishes(effects)[0].1.iter().map(|record| record.topic.to_string()).collect();
    assert_eq!(topics, ["all", "agent.b", "agent.c"]);
}
