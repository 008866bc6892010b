//! Messages of a broker, whoever has written them.

use handbell_protocol::{
    Timestamp, Topic,
    cloudevents::{Origin, from_message},
};

use crate::envelope::{comes_back, travels};

/// Lines `name: value` up to an empty one are headers, the rest is the body.
/// On a topic every message is an event; off it a message that says whom it is
/// for. Either comes back from JSON and from both styles of headers, and a
/// body that is JSON is its payload.
///
/// # Panics
/// When that doesn't hold.
pub fn cloudevents(data: &[u8]) {
    let (headers, body) = split(data);
    let topic = Topic::parse("project.tasks").expect("a good topic");
    for topic in [Some(&topic), None] {
        let origin = Origin {
            topic,
            id: "fallback-id",
            source: "kafka:project.tasks",
            at: Timestamp::from_millis(0),
            partition_key: Some("key"),
        };
        let read = || from_message(headers.iter().copied(), body, &origin);
        match read() {
            Ok(envelope) => {
                assert_eq!(read().as_ref(), Ok(&envelope), "a message read twice is two events");
                comes_back(&envelope);
                travels(&envelope);
            }
            Err(why) => assert!(topic.is_none(), "on a topic every message is an event: {why}"),
        }
    }
}

type Headers<'a> = Vec<(&'a str, &'a [u8])>;

fn split(data: &[u8]) -> (Headers<'_>, &[u8]) {
    let mut headers = Vec::new();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.is_empty() {
            return (headers, rest);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        if let Ok(name) = std::str::from_utf8(name) {
            headers.push((name, value.strip_prefix(b": ").unwrap_or(value)));
        }
    }
    (headers, rest)
}
