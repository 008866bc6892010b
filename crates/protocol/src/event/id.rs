//! Event IDs that are the same wherever and whenever the same publish is
//! sent again.

use std::fmt;

use crate::{digest, name::AgentName, time::Timestamp};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Sixteen base32 characters (`0-9a-v`): the first 80 bits of a digest.
fn base32_80(digest: &[u8; 32]) -> String {
    base32(&digest[..10])
}

/// Lower-case base32hex without padding.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits)) as usize & 31]));
    }
    text
}

/// The ID of a producer's publish: `evt-`, the producer's birth, and a digest
/// of (producer, seq).
#[must_use]
pub fn of_publish(producer: &Producer, seq: u64) -> String {
    let digest = digest::of("handbell event id v1 publish", &[producer.to_string().as_bytes(), &seq.to_le_bytes()]);
    format!("evt-{}-{}", producer.born.compact(), base32_80(&digest))
}

/// The ID of the `n`th output (from 0) of handling `cause` by `receiver`: the
/// durable group, the `routing.to` of work for pools and capabilities, or the
/// agent's name. `caused_at` is the causing event's timestamp.
#[must_use]
pub fn of_output(cause: &str, caused_at: Timestamp, receiver: &str, n: u64) -> String {
    let digest = digest::of("handbell event id v1 output", &[cause.as_bytes(), receiver.as_bytes(), &n.to_le_bytes()]);
    format!("evt-{}-{}", caused_at.compact(), base32_80(&digest))
}

/// Whether an agent may bring `id` as an event's ID: 1–255 printable characters.
#[must_use]
pub fn may_be_given(id: &str) -> bool {
    (1..=255).contains(&id.chars().count()) && id.chars().all(|c| !c.is_control())
}

/// One run of one agent that publishes: its sequence numbers are dense.
/// Written `agent#nonce`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Producer {
    /// The authenticated agent that owns it.
    pub agent: AgentName,
    /// What tells its runs apart: base32 of 80 random bits.
    pub nonce: String,
    /// When it was made; the date part of the IDs it gives.
    pub born: Timestamp,
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.agent, self.nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer() -> Producer {
        let agent = AgentName::parse("/a").unwrap();
        Producer { agent, nonce: "k3v9".into(), born: Timestamp::parse("2025-11-29T14:30:00Z").unwrap() }
    }

    #[test]
    fn an_id_is_evt_a_date_and_sixteen_base32_characters() {
        let id = of_publish(&producer(), 1);
        let tail = id.strip_prefix("evt-20251129-143000-").unwrap();
        assert_eq!(tail.len(), 16);
        assert!(tail.bytes().all(|b| ALPHABET.contains(&b)));
    }

    /// Frozen: an ID that changed between builds would be stored twice.
    #[test]
    fn ids_never_change_between_builds() {
        assert_eq!(of_publish(&producer(), 1), "evt-20251129-143000-bfvfj12befiahv7o");
        assert_eq!(
            of_output("evt-1", Timestamp::from_millis(0), "reviewers", 0),
            "evt-19700101-000000-l20uflu8tm41gn3o"
        );
    }

    #[test]
    fn different_fields_never_share_an_id() {
        let t = Timestamp::from_millis(0);
        assert_ne!(of_publish(&producer(), 1), of_publish(&producer(), 2));
        assert_ne!(of_output("ab", t, "c", 0), of_output("a", t, "bc", 0));
        assert_ne!(of_output("a", t, "c", 0), of_output("a", t, "c", 1));
    }

    #[test]
    fn base32_is_the_extended_hex_alphabet() {
        assert_eq!(base32(b"foobar"), "cpnmuoj1e8");
        assert_eq!(base32(b""), "");
    }
}
