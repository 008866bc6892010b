//! Tokens, keys and random shares.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use handbell_protocol::event::id::base32;

use crate::Token;

static NEXT_TOKEN: AtomicU64 = AtomicU64::new(1);

/// One that this process has not used; those of ordered groups lie in ranges
/// of their own.
pub(crate) fn fresh_token() -> Token {
    Token(NEXT_TOKEN.fetch_add(1, Ordering::Relaxed))
}

/// What a receiver recognises all attempts at one event by: 80 bits of the
/// BLAKE3 of (event ID, receiver) in base32. Frozen: another key would let an
/// effect happen twice across an upgrade.
pub(crate) fn idempotency_key(event_id: &str, receiver: &str) -> Arc<str> {
    digest("handbell idempotency key v1", &[event_id, receiver], 10).into()
}

/// A digest of texts, each led by its length, in base32.
pub(crate) fn digest(domain: &str, fields: &[&str], bytes: usize) -> String {
    let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
    base32(&handbell_protocol::digest::of(domain, &fields)[..bytes.min(32)])
}

/// Shares for jitter: a plain generator with its seed handed in.
#[derive(Debug)]
pub(crate) struct Shares(u64);

impl Shares {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Seeded by the system; without its randomness always the same, which
    /// only makes jitter less random.
    pub(crate) fn seeded() -> Self {
        Self::new(getrandom::u64().unwrap_or(1))
    }

    /// The next, from 0 to below 1.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_never_changes_between_builds_and_differs_by_receiver() {
        assert_eq!(&*idempotency_key("evt-1", "reviewers"), "3dgo90agqf2c2kan");
        assert_ne!(idempotency_key("evt-1", "a"), idempotency_key("evt-1", "b"));
        assert_ne!(idempotency_key("evt-1a", "b"), idempotency_key("evt-1", "ab"));
    }

    #[test]
    fn shares_lie_between_0_and_1_and_differ() {
        let mut shares = Shares::new(7);
        let drawn: Vec<f64> = (0..100).map(|_| shares.next()).collect();
        assert!(drawn.iter().all(|share| (0.0..1.0).contains(share)));
        assert!(drawn.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
