//! Digests of fields, each led by its length, so that no two different rows of
//! fields have the same bytes.
//!
//! The bytes are gathered first and hashed in one go: for something this short
//! that is twice as fast as a hasher that takes piece after piece.

/// The bytes of a row of fields.
#[must_use]
pub fn row(fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(fields.iter().map(|field| field.len() + 8).sum());
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// The digest of a row of fields within a domain.
#[must_use]
pub fn of(domain: &str, fields: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(domain, &row(fields))
}

/// The digest of a row of fields under a key.
#[must_use]
pub fn keyed(key: &[u8; 32], fields: &[&[u8]]) -> [u8; 32] {
    *blake3::keyed_hash(key, &row(fields)).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored was once hashed piece after piece.
    #[test]
    fn one_go_is_the_same_as_piece_after_piece() {
        let fields: [&[u8]; 3] = [b"a", b"", b"bc"];
        let pieces = |mut hasher: blake3::Hasher| {
            for field in fields {
                hasher.update(&(field.len() as u64).to_le_bytes());
                hasher.update(field);
            }
            *hasher.finalize().as_bytes()
        };
        assert_eq!(of("domain", &fields), pieces(blake3::Hasher::new_derive_key("domain")));
        assert_eq!(keyed(&[7; 32], &fields), pieces(blake3::Hasher::new_keyed(&[7; 32])));
    }

    #[test]
    fn different_rows_differ() {
        assert_ne!(row(&[b"ab", b"c"]), row(&[b"a", b"bc"]));
    }
}
