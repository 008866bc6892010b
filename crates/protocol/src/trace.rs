//! Trace context: trace and span IDs that follow from correlation and event IDs.
//!
//! Every event of a correlation ID is one trace, without anybody having to
//! carry a context: IDs are keyed BLAKE3 of what both ends know already.

/// The key of the digests unless `telemetry.trace_key` changes it. Public:
/// it keeps our IDs apart from others' digests, it hides nothing.
const KEY_CONTEXT: &str = "handbell trace ids v1";

/// Derives trace and span IDs.
#[derive(Clone, Debug)]
pub struct TraceIds {
    key: [u8; 32],
}

impl Default for TraceIds {
    fn default() -> Self {
        Self::new("")
    }
}

impl TraceIds {
    /// With the deployment's own key; empty for the public one.
    #[must_use]
    pub fn new(trace_key: &str) -> Self {
        Self { key: blake3::derive_key(KEY_CONTEXT, trace_key.as_bytes()) }
    }

    /// The trace of a correlation: 128 bits, never zero.
    #[must_use]
    pub fn trace_id(&self, correlation_id: &str) -> [u8; 16] {
        self.bits(&[b"trace", correlation_id.as_bytes()])
    }

    /// The span of storing an event: 64 bits, never zero.
    #[must_use]
    pub fn event_span(&self, event_id: &str) -> [u8; 8] {
        self.bits(&[b"event", event_id.as_bytes()])
    }

    /// The span of one delivery to one receiver: 64 bits, never zero.
    #[must_use]
    pub fn delivery_span(&self, event_id: &str, receiver: &str, attempt: u32) -> [u8; 8] {
        self.bits(&[b"delivery", event_id.as_bytes(), receiver.as_bytes(), &attempt.to_le_bytes()])
    }

    /// W3C `traceparent` of a delivery: what `deliver.trace` tells the agent.
    #[must_use]
    pub fn traceparent(&self, correlation_id: &str, span: [u8; 8]) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &self.trace_id(correlation_id));
        text.push('-');
        push_hex(&mut text, &span);
        text.push_str("-01");
        text
    }

    fn bits<const N: usize>(&self, fields: &[&[u8]]) -> [u8; N] {
        let mut bits = [0; N];
        bits.copy_from_slice(&crate::digest::keyed(&self.key, fields)[..N]);
        if bits == [0; N] {
            bits[N - 1] = 1;
        }
        bits
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_correlation_is_one_trace_and_each_delivery_a_span() {
        let ids = TraceIds::default();
        assert_eq!(ids.trace_id("c"), ids.trace_id("c"));
        assert_ne!(ids.trace_id("c"), TraceIds::new("other").trace_id("c"));
        assert_ne!(ids.delivery_span("e", "g", 1), ids.delivery_span("e", "g", 2));
        let parent = ids.traceparent("c", ids.event_span("e"));
        assert_eq!(parent.len(), 55);
        assert!(parent.starts_with("00-") && parent.ends_with("-01"));
    }
}
