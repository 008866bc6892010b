//! Both forms of filters, and expressions made to hurt.

use proptest::prelude::*;

use super::*;

const EVENT: &str = r#"{"id":"evt-1","type":"TaskCompletedEvent","source":"/builder","timestamp":"2025-11-29T14:30:00Z","version":"1.0","correlation_id":"c-1","urgent":true,"weight":1.5}"#;
const ROUTING: &str = r#"{"topic":"project.tasks","partition_key":"p","priority":"high"}"#;

fn envelope(payload: &str) -> Envelope {
    serde_json::from_str(&format!(r#"{{"event":{EVENT},"payload":{payload},"routing":{ROUTING}}}"#)).unwrap()
}

fn ask(filter: &str, payload: &str) -> Verdict {
    Filter::compile(filter).unwrap_or_else(|bad| panic!("{filter}: {bad}")).matches(&envelope(payload))
}

fn refused(filter: &str) -> BadFilter {
    match Filter::compile(filter) {
        Ok(_) => panic!("{filter} was taken"),
        Err(bad) => bad,
    }
}

const PAYLOAD: &str = r#"{"severity":"high","coverage":0.80,"n":3,"done":false,"none":null,"source":"mine","items":[{"owner":"/builder","tags":["a","b"]},{"owner":"/x","tags":[]}],"review":{"severity":"low"},"big":[1,2,3,4,5,6,7,8]}"#;

#[test]
fn the_short_form_finds_fields_where_they_are() {
    for (filter, expected) in [
        ("type=TaskCompleted", Verdict::Match),
        ("type=TaskCompletedEvent", Verdict::Match),
        ("event.type=TaskCompleted", Verdict::Match),
        ("type=TaskStarted", Verdict::NoMatch),
        ("severity=high", Verdict::Match),
        ("payload.review.severity=low", Verdict::Match),
        ("type=TaskCompleted,severity=high", Verdict::Match),
        ("type=TaskCompleted,severity=low", Verdict::NoMatch),
        (" type = TaskCompleted , severity = high ", Verdict::Match),
        // a bare key means the event before the payload
        ("source=/builder", Verdict::Match),
        ("source=mine", Verdict::NoMatch),
        ("payload.source=mine", Verdict::Match),
        ("topic=project.tasks", Verdict::Match),
        ("routing.priority=high", Verdict::Match),
        ("routing.hops=0", Verdict::Match),
        ("kind=event", Verdict::Match),
        ("urgent=true", Verdict::Match),
        ("event.weight=1.5", Verdict::Match),
        // numbers as they are written
        ("coverage=0.80", Verdict::Match),
        ("coverage=0.8", Verdict::NoMatch),
        ("n=3", Verdict::Match),
        ("done=false", Verdict::Match),
        // what has no text equals nothing; what isn't there fails
        ("none=null", Verdict::NoMatch),
        ("items=x", Verdict::NoMatch),
        ("nowhere=1", Verdict::Failed),
        ("causation_id=x", Verdict::Failed),
        ("event.causation_id=x", Verdict::Failed),
        ("routing.to=all", Verdict::Failed),
        ("payload.review.nothing=1", Verdict::Failed),
        ("payload.n.x=1", Verdict::Failed),
        // one false clause decides, whatever is missing
        ("nowhere=1,type=Other", Verdict::NoMatch),
        ("nowhere=1,severity=low", Verdict::NoMatch),
        ("nowhere=1,severity=high", Verdict::Failed),
    ] {
        assert_eq!(ask(filter, PAYLOAD), expected, "{filter}");
    }
}

#[test]
fn a_short_filter_on_the_envelope_never_reads_the_payload() {
    // A payload that nests too deep for any reader that would go through it.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut envelope = envelope("null");
    envelope.payload = crate::json::Json::from_text(deep).unwrap();
    let verdict = |filter| Filter::compile(filter).unwrap().matches(&envelope);
    assert_eq!(verdict("type=TaskCompleted"), Verdict::Match);
    assert_eq!(verdict("event.type == 'TaskCompletedEvent'"), Verdict::Match);
    assert_eq!(verdict("payload[0] == 1"), Verdict::Failed);
    assert_eq!(verdict("anything=1"), Verdict::Failed);
}

#[test]
fn cel_is_not_mistaken_for_the_short_form() {
    for (filter, expected) in [
        (r#"event.type == "TaskCompletedEvent""#, Verdict::Match),
        (r#"event.type=="TaskCompleted""#, Verdict::NoMatch),
        ("payload.n==3", Verdict::Match),
        ("payload.n>=3", Verdict::Match),
        ("payload.n != 3", Verdict::NoMatch),
        (r#"event.type == "a,b=c""#, Verdict::NoMatch),
    ] {
        assert_eq!(ask(filter, PAYLOAD), expected, "{filter}");
    }
}

#[test]
fn cel_sees_event_payload_and_routing() {
    for (filter, expected) in [
        ("payload.coverage >= 0.8 && event.source == '/builder'", Verdict::Match),
        ("payload.n + 1 == 4", Verdict::Match),
        ("payload['severity'] == 'high'", Verdict::Match),
        ("routing.hops < 3 && routing.priority in ['high', 'critical']", Verdict::Match),
        ("event.kind == 'event' && event.urgent && event.weight > 1.0", Verdict::Match),
        ("has(payload.review.severity)", Verdict::Match),
        ("has(payload.nothing)", Verdict::NoMatch),
        ("has(event.causation_id)", Verdict::NoMatch),
        ("payload.?nothing.orValue(1) == 1", Verdict::Match),
        ("payload.items.exists(i, i.owner == event.source)", Verdict::Match),
        ("payload.items.exists(i, i.tags.exists(t, t == 'b'))", Verdict::Match),
        ("payload.items.all(i, size(i.tags) > 0)", Verdict::NoMatch),
        ("payload.?things.orValue([]).exists(t, t == 1)", Verdict::NoMatch),
        ("['high', 'low'].exists(s, s == payload.severity)", Verdict::Match),
        ("size(payload.items.filter(i, i.owner == '/x')) == 1", Verdict::Match),
        ("payload.severity.matches('^h.gh$')", Verdict::Match),
        ("matches(payload.severity, '^l')", Verdict::NoMatch),
        ("timestamp(event.timestamp) < timestamp('2026-01-01T00:00:00Z')", Verdict::Match),
        ("type(payload.n) == int", Verdict::Match),
        ("payload.size() == 9", Verdict::Match),
        // a missing field or a fault is no match, and told apart
        ("payload.nothing == 1", Verdict::Failed),
        ("payload.severity > 1", Verdict::Failed),
        ("payload.n / 0 == 1", Verdict::Failed),
        ("payload.n", Verdict::Failed),
        ("payload.n.matches('3')", Verdict::Failed),
        ("payload.nothing == 1 || payload.n == 3", Verdict::Match),
        ("payload.nothing == 1 && payload.n == 4", Verdict::NoMatch),
    ] {
        assert_eq!(ask(filter, PAYLOAD), expected, "{filter}");
    }
}

#[test]
fn a_bad_filter_is_refused_with_its_column() {
    for (filter, column, word) in [
        ("", 1, "empty"),
        ("  ", 1, "empty"),
        ("event.a.b=1", 1, "payload"),
        ("type=X, routing.way=1", 9, "topic, to"),
        ("review.severity=high", 1, "payload."),
        ("payload.n ==", 13, ""),
        ("type=X && payload.n == 1", 5, "=="),
        ("type=X,payload.n > 1", 5, "=="),
        ("coverage > 0.8", 1, "payload.coverage"),
        ("payload.n == 1 && coverage > 0.8", 19, "payload.coverage"),
        ("payload.s.startWith('a')", 20, "startWith"),
        ("payload.s.matches('(')", 18, "matches"),
        ("payload.s.matches(payload.t)", 18, "literal"),
        ("payload.s.matches('\\\\w{9999}')", 18, "matches"),
        (&["payload.s.matches('a')"; 9].join(" || "), 226, "at most 8"),
        ("_thing(1) == 1", 7, "unknown"),
        ("payload.items.map(i, [i, i]).exists(i, true)", 36, "loop"),
        ("payload.a.exists(x, payload.b.exists(y, x == y))", 37, "part of its variable"),
        ("Thing{a: 1} == 1", 6, "messages"),
        ("payload.n\n == ]", 15, ""),
    ] {
        let bad = refused(filter);
        assert_eq!(bad.column, column, "{filter}: {bad}");
        assert!(bad.reason.contains(word), "{filter}: {bad}");
    }
    let refusal = Refusal::from(refused("payload.n =="));
    assert_eq!(refusal.code, Code::BadFilter);
    assert!(refusal.reason.contains("column 13"), "{refusal}");
}

#[test]
fn a_filter_gives_its_text_back() {
    let filter = Filter::compile(" type=X ").unwrap();
    assert_eq!(filter.as_str(), " type=X ");
    assert_eq!(filter, filter.clone());
    assert_ne!(filter, Filter::compile("type=X").unwrap());
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    shared(&filter);
}

/// Runs on a stack that is half of a runtime worker's: enough without
/// optimisation, and many times enough with it.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap();
}

/// Expressions that nest as deep, or chain as long, as the bounds allow and
/// far beyond.
fn nasty() -> Vec<String> {
    let mut all = vec![];
    for n in [3, 7, 12, 13, 14, 15, 16, 20, 23, 24, 25, 31, 100, 250, 500, 511, 512, 1000, 2000] {
        all.push(format!("{}true{}", "(".repeat(n), ")".repeat(n)));
        all.push(format!("{}1{}", "[".repeat(n), "]".repeat(n)));
        all.push("(".repeat(n));
        all.push("{'a':".repeat(n));
        all.push(format!("{}true", "!".repeat(n)));
        all.push(format!("{}1 == 1", "-".repeat(n)));
        all.push(format!("payload{} == 1", ".a".repeat(n)));
        all.push(format!("payload{} == 1", "[0]".repeat(n)));
        all.push(format!("1{} == 1", "+1".repeat(n)));
        all.push(format!("true{}", "&&true".repeat(n)));
        all.push(format!("true{}", "||payload.x".repeat(n)));
        all.push(format!("1{}", " in 1".repeat(n)));
        all.push(format!("1{}", "==1".repeat(n)));
        all.push(format!("{}true", "true?true:".repeat(n)));
        all.push(format!("{}true", "true?".repeat(n)));
        all.push(format!("payload{} == 1", ".size()".repeat(n)));
        all.push(format!("{}payload{} == 1", "size(".repeat(n), ")".repeat(n)));
        all.push(format!("{}true{}", "payload.all(a,".repeat(n), ")".repeat(n)));
        all.push(format!("payload{}", ".map(x,x+x)".repeat(n)));
        all.push(format!("{}true{}", "['a','a'].all(x,".repeat(n), ")".repeat(n)));
        all.push(format!("payload.?a{}", ".optMap(x,x+x)".repeat(n)));
    }
    all
}

#[test]
fn nothing_that_the_bounds_let_through_overflows_the_stack() {
    on_a_small_stack(|| {
        let deep = format!("{}1{}", "[".repeat(126), "]".repeat(126));
        for filter in ["payload == 1", "payload == payload", "payload.all(x, x == x)", "size(payload) == 1"] {
            assert_ne!(ask(filter, &deep), Verdict::Failed, "{filter}");
        }
        let envelope = envelope(PAYLOAD);
        let mut taken = 0;
        for text in nasty() {
            if let Ok(filter) = Filter::compile(&text) {
                taken += 1;
                assert_eq!(filter.matches(&envelope), filter.matches(&envelope));
            }
        }
        assert!(taken > 20, "the bounds refuse everything: only {taken} were taken");
    });
}

#[test]
fn what_would_cost_too_much_is_not_begun() {
    let numbers = vec!["1"; 20_000].join(",");
    let long = "x".repeat(500_000);
    let payload = format!(r#"{{"l":[{numbers}],"t":"{long}"}}"#);
    for (filter, expected) in [
        // in proportion to the data: done
        ("payload.l.all(x, x == 1)", Verdict::Match),
        ("payload.t.contains('y')", Verdict::NoMatch),
        // each value against all of them
        ("payload.l.all(x, x in payload.l)", Verdict::Failed),
        ("payload.l.all(x, payload.t.contains('y'))", Verdict::Failed),
        // copies that grow
        ("payload.t+payload.t+payload.t+payload.t+payload.t+payload.t+payload.t+payload.t == ''", Verdict::Failed),
    ] {
        assert_eq!(ask(filter, &payload), expected, "{filter}");
    }
    let literal = format!("[{}]", vec!["1"; 100].join(","));
    let nested = format!("{literal}.all(a, {literal}.all(b, {literal}.all(c, {literal}.all(d, a == b))))");
    assert_eq!(ask(&nested, "null"), Verdict::Failed);
}

/// Pieces from which nearly grammatical expressions are drawn.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "payload",
        "event",
        "routing",
        ".a",
        ".type",
        ".?b",
        "[0]",
        "['a']",
        "[?1]",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        " in ",
        "+",
        "-",
        "*",
        "/",
        "%",
        "!",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "1",
        "0u",
        "-1",
        "1.5e308",
        "9223372036854775807",
        "0x7fffffffffffffff",
        "'x'",
        "\"\"",
        "b'\\xff'",
        "r'\\'",
        "'''",
        "true",
        "null",
        ".size()",
        ".exists(x, x == 1)",
        ".all(x, x.y)",
        ".map(x, x)",
        ".filter(x, x > 1)",
        ".matches('.*')",
        "has(",
        "timestamp('9999-12-31T23:59:59Z')",
        "duration('9223372036s')",
        "int(",
        "double('nan')",
        "string(",
        "uint(",
        "dyn(",
        "type(",
        "optional.of(",
        ".orValue(",
        ".value()",
        ".getHours('x')",
        ".getDayOfYear()",
        "=",
        "//",
        "\n",
        "é",
        "\u{0}",
        "`a`",
        "$",
    ]);
    prop::collection::vec(piece, 1..24).prop_map(|pieces| pieces.concat())
}

/// Expressions that could overflow, divide by nothing or read what can't be
/// read, depending on the payload.
static ARITHMETIC: std::sync::LazyLock<Vec<Filter>> = std::sync::LazyLock::new(|| {
    let expressions = [
        "payload.i + payload.i == payload.u * 2u",
        "payload.f > payload.t",
        "-payload.i == payload.i / -1",
        "int(payload.f) == int(payload.u)",
        "uint(payload.f) > 1u",
        "payload.i % payload.i == 0",
        "timestamp(payload.t) > timestamp(payload.i)",
        "duration(payload.t) > duration('1s')",
        "payload.l[payload.i] == 1",
        "payload.l.exists(x, x in payload)",
        "double(payload.t) == payload.f",
        "timestamp(payload.i) + duration('1h') > timestamp(event.timestamp)",
        "timestamp(event.timestamp).getHours(payload.t) == 1",
        "payload.t.matches('a|b')",
    ];
    expressions.iter().map(|text| Filter::compile(text).unwrap_or_else(|bad| panic!("{text}: {bad}"))).collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", drawn in pieces()) {
        let envelope = envelope(PAYLOAD);
        for text in [text, drawn] {
            match Filter::compile(&text) {
                Ok(filter) => prop_assert_eq!(filter.matches(&envelope), filter.matches(&envelope)),
                Err(bad) => prop_assert!(bad.column >= 1 && bad.column <= text.chars().count() + 2, "{text:?}: {bad}"),
            }
        }
    }

    #[test]
    fn no_payload_makes_it_panic(number in any::<f64>(), text in ".*", int in any::<i64>(), uint in any::<u64>()) {
        let list = serde_json::json!({"f": number, "t": text, "i": int, "u": uint, "l": [number, text, int, uint]});
        let envelope = envelope(&list.to_string());
        for filter in &*ARITHMETIC {
            assert_eq!(filter.matches(&envelope), filter.matches(&envelope));
        }
    }

    #[test]
    fn a_short_filter_finds_every_scalar_as_it_is_written(name in "[a-z]{1,8}x", value in "[A-Za-z0-9._/-]{1,20}") {
        let payload = format!(r#"{{"{name}":"{value}"}}"#);
        let filter = format!("payload.{name}={value}");
        prop_assert_eq!(ask(&filter, &payload), Verdict::Match);
        prop_assert_eq!(ask(&format!("{name}={value}"), &payload), Verdict::Match);
        prop_assert_eq!(ask(&format!("{name}={value}0"), &payload), Verdict::NoMatch);
    }
}
