//! What the catalogue knows, takes in from users, and checks.

use super::*;

fn json(text: &str) -> Json {
    Json::from_text(text.into()).unwrap()
}

fn bad(text: &str) -> BadCatalogue {
    Catalogue::shipped().extend([("ours.json", text)]).unwrap_err()
}

#[test]
fn every_type_of_the_taxonomy_is_shipped_in_its_category() {
    let catalogue = Catalogue::shipped();
    let taxonomy: [(&str, &[&str]); 8] = [
        (
            "domain",
            &[
                "TaskStartedEvent",
                "TaskCompletedEvent",
                "TaskFailedEvent",
                "DecisionMadeEvent",
                "ReviewRequestedEvent",
                "ReviewCompletedEvent",
            ],
        ),
        ("integration", &["AgentHandoffEvent", "ContextSyncEvent", "DependencyResolvedEvent"]),
        ("system", &["AgentHealthEvent", "CheckpointCreatedEvent", "ErrorOccurredEvent"]),
        ("planning", &["plan_ready", "architecture_complete", "requirements_defined"]),
        ("building", &["build_ready", "implementation_complete", "integration_done"]),
        ("review", &["review_complete", "quality_validated", "approval_granted"]),
        ("coordination", &["sync_point_reached", "conflict_detected", "resolution_needed"]),
        ("help", &["HelpRequestEvent"]),
    ];
    for (category, names) in taxonomy {
        for name in names {
            let entry = catalogue.get(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!((entry.name(), entry.category(), entry.kind()), (*name, category, Kind::Event));
            assert!(entry.meaning().ends_with('.') && !entry.meaning().contains('\n'), "{name}");
        }
    }
    assert_eq!(catalogue.iter().count(), taxonomy.iter().map(|(_, names)| names.len()).sum::<usize>());
}

#[test]
fn x_and_x_event_are_one_entry() {
    let catalogue = Catalogue::shipped();
    assert_eq!(catalogue.get("TaskCompleted").map(Entry::name), Some("TaskCompletedEvent"));
    assert_eq!(catalogue.get("plan_readyEvent").map(Entry::name), Some("plan_ready"));
    assert!(catalogue.get("Task").is_none());
}

#[test]
fn a_help_request_needs_its_three_members_and_may_have_more() {
    let catalogue = Catalogue::shipped();
    let check = |payload: &str| catalogue.validate("HelpRequest", &json(payload));
    assert!(check(r#"{"from_agent":"/a","to_agent":"/b","context":{"any":1},"more":[]}"#).is_ok());
    for (payload, path, word) in [
        (r#"{"from_agent":"/a","to_agent":"/b"}"#, "payload:", "context"),
        (r#"{"from_agent":5,"to_agent":"/b","context":1}"#, "payload.from_agent:", "string"),
        ("null", "payload:", "object"),
        ("1e400", "payload:", "range"),
    ] {
        let refusal = check(payload).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidPayload);
        assert!(refusal.reason.starts_with(path), "{payload}: {}", refusal.reason);
        assert!(refusal.reason.contains(word), "{payload}: {}", refusal.reason);
    }
}

#[test]
fn all_other_shipped_types_take_any_payload_whose_known_members_are_sound() {
    let catalogue = Catalogue::shipped();
    for entry in catalogue.iter().filter(|entry| entry.name() != "HelpRequestEvent") {
        for payload in ["null", "{}", r#"{"something":{"else":1}}"#] {
            assert_eq!(entry.validate(&json(payload)), Ok(()), "{}", entry.name());
        }
    }
    assert!(catalogue.validate("TaskCompleted", &json(r#"{"task_id":"T1"}"#)).is_ok());
    assert!(catalogue.validate("TaskCompleted", &json(r#"{"task_id":[]}"#)).is_err());
    assert!(catalogue.validate("NobodyKnowsThis", &json("5")).is_ok());
}

#[test]
fn users_add_types_and_replace_shipped_ones() {
    let ours = r#"{"category":"ours","types":[
        {"type":"OrderPlacedEvent","meaning":"Somebody buys.","schema":{"required":["order"],"properties":{"items":{"items":{"required":["sku"]}}}}},
        {"type":"ShipCommand","meaning":"Send it."},
        {"type":"TaskCompleted","meaning":"Ours.","kind":"notification","schema":{"required":["task_id"]}}]}"#;
    let catalogue = Catalogue::shipped().extend([("ours.json", ours)]).unwrap();
    assert_eq!(catalogue.get("ShipCommand").unwrap().kind(), Kind::Command);
    assert!(catalogue.validate("ShipCommand", &json("5")).is_ok());
    assert_eq!(catalogue.get("TaskCompletedEvent").unwrap().kind(), Kind::Notification);
    assert!(catalogue.validate("TaskCompletedEvent", &json("{}")).is_err());
    let refusal = catalogue.validate("OrderPlaced", &json(r#"{"order":1,"items":[{"sku":1},{}]}"#)).unwrap_err();
    assert!(refusal.reason.starts_with("payload.items[1]:"), "{}", refusal.reason);
    assert!(Catalogue::shipped().validate("TaskCompletedEvent", &json("{}")).is_ok(), "the shipped one is untouched");
}

#[test]
fn a_bad_file_is_named_with_the_place_of_its_fault() {
    for (text, place, word) in [
        ("{\n  \"category\": }", "line 2, column 15", "expected"),
        (r#"{"category":"c","types":[],"more":1}"#, "line 1, column 33", "more"),
        (r#"{"category":"c","types":[{"type":"T"}]}"#, "line 1, column 37", "meaning"),
        (r#"{"category":"","types":[]}"#, "category", "printable"),
        (r#"{"category":"c","types":[{"type":"","meaning":"m"}]}"#, "types[0].type", "printable"),
        (
            r#"{"category":"c","types":[{"type":"T","meaning":"m"},{"type":"U","meaning":"m","schema":{"properties":{"a":{"type":"strin"}}}}]}"#,
            "types[1].schema.properties.a.type",
            "strin",
        ),
        (
            r#"{"category":"c","types":[{"type":"T","meaning":"m"},{"type":"TEvent","meaning":"m"}]}"#,
            "types[1]",
            "ours.json: types[0]",
        ),
    ] {
        let bad = bad(text);
        assert_eq!((bad.file.as_str(), bad.place.as_str()), ("ours.json", place), "{text}: {bad}");
        assert!(bad.reason.contains(word), "{text}: {bad}");
    }
}

#[test]
fn schemas_never_reach_out_to_a_network() {
    let bad =
        bad(r#"{"category":"c","types":[{"type":"T","meaning":"m","schema":{"$ref":"http://127.0.0.1:1/x.json"}}]}"#);
    assert!(bad.place.starts_with("types[0].schema"), "{bad}");
}
