//! The events of a bench: what is published, and what of it is read again.

use std::time::{Duration, Instant};

use handbell_protocol::Json;

/// What surrounds the filling of a payload.
const HEAD: &str = "{\"at\":\"";
const TAIL: &str = "\"}";
const DIGITS: usize = 20;

/// Events of one size on one topic, over a number of keys.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) topic: String,
    pad: String,
    pub(super) keys: u64,
    /// Stamps count from here.
    epoch: Instant,
}

impl Load {
    /// Events whose payloads have `size` bytes.
    pub(super) fn new(topic: &str, size: usize, keys: u64) -> Self {
        let frame = HEAD.len() + DIGITS + "\",\"pad\":\"".len() + TAIL.len();
        Self { topic: topic.to_owned(), pad: "x".repeat(size.saturating_sub(frame)), keys, epoch: Instant::now() }
    }

    /// A payload with a stamp.
    pub(super) fn payload(&self, at: Instant) -> String {
        let nanos = at.saturating_duration_since(self.epoch).as_nanos();
        format!("{HEAD}{nanos:0DIGITS$}\",\"pad\":\"{}{TAIL}", self.pad)
    }

    /// The same as JSON of the protocol.
    pub(super) fn json(&self, at: Instant) -> Json {
        Json::from_text(self.payload(at)).expect("a payload is JSON")
    }

    /// The frame that publishes the event number `seq`.
    pub(super) fn frame(&self, seq: u64, at: Instant) -> String {
        let (payload, topic, key) = (self.payload(at), &self.topic, seq % self.keys);
        format!(
            r#"{{"op":"publish","seq":{seq},"event":{{"type":"BenchEvent"}},"payload":{payload},"routing":{{"topic":"{topic}","partition_key":"k{key}"}}}}"#
        )
    }

    /// How long ago the stamp in this text was.
    pub(super) fn age(&self, text: &[u8], now: Instant) -> Option<Duration> {
        let head = HEAD.as_bytes();
        let from = text.windows(head.len()).position(|window| window == head)? + head.len();
        let digits = std::str::from_utf8(text.get(from..from + DIGITS)?).ok()?;
        let at = self.epoch + Duration::from_nanos(digits.parse().ok()?);
        Some(now.saturating_duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_its_stamp_is_read_again() {
        let load = Load::new("bench", 256, 4);
        let at = Instant::now();
        assert_eq!(load.payload(at).len(), 256);
        let frame = load.frame(5, at);
        serde_json::from_str::<serde_json::Value>(&frame).unwrap();
        assert_eq!(load.age(frame.as_bytes(), at + Duration::from_millis(3)), Some(Duration::from_millis(3)));
    }
}
