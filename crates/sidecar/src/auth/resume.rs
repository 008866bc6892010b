//! Resume tokens: what a session was, sealed with a key that all sidecars of a
//! namespace share, so that any of them can go on with its producer.

use bytes::Bytes;
use handbell_backend::{Backend, BackendError, CellName, Fault, StoreOutcome};
use handbell_protocol::{AgentName, Producer, Timestamp};
use subtle::ConstantTimeEq;

/// What a resume token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resumption {
    /// The session; where it still stands it is the same one.
    pub(crate) session: String,
    /// The producer that goes on.
    pub(crate) producer: Producer,
}

/// The key that seals resume tokens.
#[derive(Clone)]
pub(crate) struct ResumeKey([u8; 32]);

impl std::fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumeKey(…)")
    }
}

impl ResumeKey {
    /// Loads the namespace's key, or stores `fresh` as the key: the first wins.
    pub(crate) async fn load(backend: &dyn Backend, fresh: [u8; 32]) -> Result<Self, BackendError> {
        let cell = CellName::of(&["sidecar", "resume-key"]);
        loop {
            if let Some(known) = backend.cell_load(&cell).await? {
                let key = known.value.as_ref().try_into().map_err(|_| {
                    BackendError::new(Fault::Corrupt, "read the resume key", "cell sidecar/resume-key has not 32 bytes")
                })?;
                return Ok(Self(key));
            }
            match backend.cell_store(&cell, Bytes::copy_from_slice(&fresh), None).await? {
                StoreOutcome::Stored(_) => return Ok(Self(fresh)),
                StoreOutcome::Fenced => {}
            }
        }
    }

    /// The token of a session.
    pub(crate) fn seal(&self, resumption: &Resumption) -> String {
        let producer = &resumption.producer;
        let body =
            format!("r1.{}.{}.{}.{}", resumption.session, producer.nonce, producer.born.as_millis(), producer.agent);
        let mac = self.mac(&body);
        format!("{body}.{mac}")
    }

    /// What a token says, if it is one of ours.
    pub(crate) fn open(&self, token: &str) -> Option<Resumption> {
        let (body, mac) = token.rsplit_once('.')?;
        if !bool::from(self.mac(body).as_bytes().ct_eq(mac.as_bytes())) {
            return None;
        }
        let mut parts = body.strip_prefix("r1.")?.splitn(4, '.');
        let session = parts.next()?.to_owned();
        let nonce = parts.next()?.to_owned();
        let born = Timestamp::from_millis(parts.next()?.parse().ok()?);
        let agent = AgentName::parse(parts.next()?).ok()?;
        Some(Resumption { session, producer: Producer { agent, nonce, born } })
    }

    fn mac(&self, body: &str) -> String {
        handbell_protocol::event::id::base32(&blake3::keyed_hash(&self.0, body.as_bytes()).as_bytes()[..20])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_under_its_key_alone_and_unchanged() {
        let producer = Producer {
            agent: AgentName::parse("/team/a").unwrap(),
            nonce: "k3".into(),
            born: Timestamp::from_millis(1_763_000_000_000),
        };
        let resumption = Resumption { session: "s1".into(), producer };
        let key = ResumeKey([7; 32]);
        let token = key.seal(&resumption);
        assert_eq!(key.open(&token), Some(resumption));
        assert_eq!(ResumeKey([8; 32]).open(&token), None);
        assert_eq!(key.open(&token.replace("/team/a", "/team/b")), None);
        for bad in ["", ".", "r1", "r1.a.b.c./a.mac"] {
            assert_eq!(key.open(bad), None);
        }
    }
}
