//! Filters, short and CEL.

use std::sync::LazyLock;

use handbell_protocol::{Envelope, Filter};

/// Events that every filter is asked about.
static EVENTS: LazyLock<Vec<Envelope>> = LazyLock::new(|| {
    let texts = [
        r#"{"event":{"id":"e1","type":"TaskCompletedEvent","source":"/a/b","timestamp":"2025-11-29T14:30:00Z","version":"1.0","correlation_id":"c1","retries":3,"urgent":true},"payload":{"task_id":"T1","severity":"high","n":5,"items":[{"owner":"/x","tags":["a","b"]},{"owner":"/y"}],"review":{"severity":"low"},"big":18446744073709551615,"x":1e400,"null":null},"routing":{"topic":"project.tasks","partition_key":"k","priority":"high","hops":2}}"#,
        r#"{"event":{"id":"e2","type":"X","source":"/a","timestamp":"2025-11-29T14:30:00.5+02:00","version":"2","correlation_id":"c2","causation_id":"e1","kind":"command"},"payload":[1,-1,0,"ä",[[[[]]]],9223372036854775807],"routing":{"to":"pool:builders","priority":"normal"}}"#,
        r#"{"event":{"id":"e3","type":"Y","source":"/a","timestamp":"1970-01-01T00:00:00Z","version":"1.0","correlation_id":"e3"},"payload":null,"routing":{"topic":"t","priority":"low"}}"#,
    ];
    texts.iter().map(|text| serde_json::from_str(text).expect("a good envelope")).collect()
});

/// The filter stands before a line `---`; what follows, if it is an envelope, is one
/// event more. A filter that is read twice is the same filter: it gives its
/// text back and the same answer on each event; a refusal names a column of
/// the text.
///
/// # Panics
/// When that doesn't hold.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, event) = text.split_once("\n---\n").unwrap_or((text, ""));
    match (Filter::compile(text), Filter::compile(text)) {
        (Ok(one), Ok(two)) => {
            assert_eq!((one.as_str(), &one), (text, &two), "a filter is not its text");
            for envelope in EVENTS.iter().chain(serde_json::from_str(event).ok().as_ref()) {
                let verdicts = [&one, &two, &one].map(|filter| filter.matches(envelope));
                assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?} on {envelope:?}");
            }
        }
        (Err(one), Err(two)) => {
            assert_eq!(one, two, "a filter is refused in two ways");
            assert!(!one.reason.is_empty(), "a refusal says nothing");
            let columns = 1..=text.chars().count() + 1;
            assert!(columns.contains(&one.column), "no such column: {one}");
        }
        (one, two) => panic!("taken and refused: {one:?} {two:?}"),
    }
}
