//! Names that agents supply: segments, agents, topics, namespaces.
//!
//! Each name is checked once, where it enters, and is a type of its own from
//! then on. The grammar is that of `docs/protocol.md`: a segment is
//! `[A-Za-z0-9_-]{1,128}`, so that no wildcard, control character or empty
//! segment of a broker's subject can ever come from an agent.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest topic, in bytes. Kafka's own limit is 249 with our prefixes.
pub(crate) const MAX_TOPIC_BYTES: usize = 180;
/// The longest namespace, in bytes.
pub(crate) const MAX_NAMESPACE_BYTES: usize = 32;
/// The longest segment, in bytes.
pub(crate) const MAX_SEGMENT_BYTES: usize = 128;

/// Why a text is not the name it should be: what it was, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} {why}")]
pub struct BadName {
    /// The kind of name that was wanted, such as "topic".
    pub what: &'static str,
    /// The text as given, cut after 200 characters.
    pub text: String,
    /// What is wrong with it and what would be right.
    pub why: &'static str,
}

impl BadName {
    pub(crate) fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        let text = text.chars().take(200).collect();
        Self { what, text, why }
    }
}

/// Tells whether `text` is one segment: `[A-Za-z0-9_-]{1,128}`.
#[must_use]
pub fn is_segment(text: &str) -> bool {
    (1..=MAX_SEGMENT_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

const SEGMENT_RULE: &str = "must be 1 to 128 of the characters A-Z a-z 0-9 _ -";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and takes it over.
            ///
            /// # Errors
            /// [`BadName`] when the text is outside the grammar.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> Option<&'static str> = $check;
                match check(text) {
                    None => Ok(Self(text.into())),
                    Some(why) => Err(BadName::new($what, text, why)),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::parse(text)
            }
        }
    };
}

name!(
    /// One segment: the name of a group, a pool or a capability.
    Segment,
    "name",
    |text| (!is_segment(text)).then_some(SEGMENT_RULE)
);

name!(
    /// An agent's name and address: `/segment` with further `/segment`s.
    AgentName,
    "agent",
    |text| {
        let whole = text.len() <= MAX_TOPIC_BYTES;
        let ok = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment));
        (!(whole && ok)).then_some(
            "must be /name, or /name/name…, each name 1 to 128 of A-Z a-z 0-9 _ -, 180 bytes in all",
        )
    }
);

name!(
    /// A topic: segments joined by `.`, at most 180 bytes.
    Topic,
    "topic",
    |text| {
        if text.len() > MAX_TOPIC_BYTES {
            return Some("is longer than 180 bytes");
        }
        (!text.split('.').all(is_segment))
            .then_some("must be names of A-Z a-z 0-9 _ - joined by '.', without wildcards")
    }
);

name!(
    /// A namespace: one segment of at most 32 bytes that prefixes every
    /// stream, topic, group and journal, so that two installations on one
    /// broker never meet.
    Namespace,
    "namespace",
    |text| (!is_segment(text) || text.len() > MAX_NAMESPACE_BYTES)
        .then_some("must be 1 to 32 of the characters A-Z a-z 0-9 _ -")
);

impl Topic {
    /// Whether the topic belongs to Handbell itself (first segment
    /// `handbell`); agents may not publish there.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_str() == "handbell" || self.as_str().starts_with("handbell.")
    }
}

impl AgentName {
    /// The segments of the name joined by `.`, as they stand in a topic.
    #[must_use]
    pub fn dotted(&self) -> String {
        self.as_str()[1..].replace('/', ".")
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_slash_and_segments() {
        for good in ["/a", "/backend-architect", "/team/one_2"] {
            assert_eq!(AgentName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "/", "a", "/a/", "//a", "/a b", "/a.b", "/ä", "/*", "/$x"] {
            assert!(AgentName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_topic_is_segments_joined_by_dots_within_180_bytes() {
        assert!(Topic::parse("project.tasks").is_ok());
        assert!(Topic::parse(&"a".repeat(129)).is_err());
        assert!(Topic::parse(&[&*"a".repeat(120), &*"b".repeat(59)].join(".")).is_ok());
        assert!(Topic::parse(&[&*"a".repeat(120), &*"b".repeat(60)].join(".")).is_err());
        for bad in ["", ".", "a.", ".a", "a..b", "a.*", "a.>", "$SYS.a", "a\u{0}b"] {
            assert!(Topic::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_segment_handbell_is_reserved() {
        assert!(Topic::parse("handbell.replies").unwrap().is_reserved());
        assert!(!Topic::parse("handbells.replies").unwrap().is_reserved());
    }
}
