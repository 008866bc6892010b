//! The stored form of a dedup key.
//!
//! Twelve bytes of BLAKE3 over namespace, class and the key without the number
//! at its end, then that number: so keys that count (`producer/1`, `producer/2`)
//! stand beside one another in the index, and a million of them touch few pages.

use handbell_backend::Class;
use handbell_protocol::{Namespace, digest};

/// A dedup key as it is stored: equal exactly when namespace, class and key are.
pub(crate) type DedupKey = [u8; 20];

/// The stored form of `key`.
pub(crate) fn dedup_key(namespace: &Namespace, class: Class, key: &str) -> DedupKey {
    let (stem, number) = split(key);
    let mut fields = digest::row(&[namespace.as_str(), class.as_str(), stem].map(str::as_bytes));
    fields.push(u8::from(number.is_some()));
    let mut stored = [0; 20];
    stored[..12].copy_from_slice(&blake3::hash(&fields).as_bytes()[..12]);
    stored[12..].copy_from_slice(&number.unwrap_or_default().to_be_bytes());
    stored
}

/// The key's last digits as a number, where it prints back as the same digits.
fn split(key: &str) -> (&str, Option<u64>) {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &key[stem.len()..];
    let plain = !digits.is_empty() && digits.len() <= 19 && (digits == "0" || !digits.starts_with('0'));
    match plain.then(|| digits.parse().ok()).flatten() {
        Some(number) => (stem, Some(number)),
        None => (key, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(key: &str) -> DedupKey {
        dedup_key(&Namespace::default(), Class::Ev, key)
    }

    #[test]
    fn keys_that_count_stand_beside_one_another() {
        assert_eq!(of("/a#n/1")[..12], of("/a#n/20000")[..12]);
        assert!(of("/a#n/9") < of("/a#n/10"));
    }

    #[test]
    fn namespaces_and_classes_have_keys_of_their_own() {
        let other = Namespace::parse("other").unwrap();
        assert_ne!(of("k"), dedup_key(&other, Class::Ev, "k"));
        assert_ne!(of("k"), dedup_key(&Namespace::default(), Class::Dlq, "k"));
    }

    proptest! {
        #[test]
        fn different_keys_never_share_a_form(a in "[a/0-1]{0,6}", b in "[a/0-1]{0,6}") {
            prop_assert_eq!(a == b, of(&a) == of(&b));
        }
    }
}
