//! Topic patterns: `*` is one whole segment, `>` as the last is one or more.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::name::{BadName, MAX_TOPIC_BYTES, Topic, is_segment};

/// A pattern over topics, as in `subscribe.topics` and in scopes. A topic's
/// own name is a pattern that matches only that topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern(Arc<str>);

impl TopicPattern {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    /// [`BadName`] when a segment is empty or outside the grammar, when a
    /// wildcard is only part of a segment, or when `>` is not the last.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let bad = |why| Err(BadName::new("topic pattern", text, why));
        if text.len() > MAX_TOPIC_BYTES {
            return bad("is longer than 180 bytes");
        }
        let segments: Vec<&str> = text.split('.').collect();
        for (index, segment) in segments.iter().enumerate() {
            match *segment {
                ">" if index + 1 < segments.len() => return bad("may have '>' only as its last segment"),
                ">" | "*" => {}
                other if is_segment(other) => {}
                _ => return bad("must be names, '*' (one segment) or a last '>' (one or more), joined by '.'"),
            }
        }
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `topic` matches.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let mut wanted = self.0.split('.');
        let mut given = topic.as_str().split('.');
        loop {
            match (wanted.next(), given.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(w), Some(g)) if w == g => {}
                _ => return false,
            }
        }
    }

    /// Whether every topic that matches `other` matches `self` too: what a
    /// scope must do for a subscription's pattern.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let mut wide = self.0.split('.');
        let mut narrow = other.0.split('.');
        loop {
            match (wide.next(), narrow.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(n)) if n != ">" => {}
                (Some(w), Some(n)) if w == n => {}
                _ => return false,
            }
        }
    }

    /// The topic itself, where the pattern has no wildcard.
    #[must_use]
    pub fn as_topic(&self) -> Option<Topic> {
        Topic::parse(&self.0).ok()
    }
}

impl From<&Topic> for TopicPattern {
    fn from(topic: &Topic) -> Self {
        Self(topic.as_str().into())
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for TopicPattern {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        Self::parse(&text)
    }
}

impl From<TopicPattern> for String {
    fn from(pattern: TopicPattern) -> Self {
        pattern.0.as_ref().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> TopicPattern {
        TopicPattern::parse(text).unwrap()
    }

    #[test]
    fn matching_follows_whole_segments() {
        for (pattern, topic, expected) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.*", "a", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b", "a.b", true),
            ("*.b", "a.c", false),
            ("*", "ab", true),
        ] {
            assert_eq!(p(pattern).matches(&Topic::parse(topic).unwrap()), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn a_scope_covers_only_what_it_wholly_contains() {
        for (wide, narrow, expected) in [
            ("a.*", "a.b", true),
            ("a.*", "a.*", true),
            ("a.*", "a.>", false),
            ("a.>", "a.*", true),
            ("a.>", "a.>", true),
            (">", "a.b", true),
            ("a.b", "a.*", false),
            ("*.b", "a.b", true),
        ] {
            assert_eq!(p(wide).covers(&p(narrow)), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn wildcards_stand_alone_and_the_tail_stands_last() {
        for bad in ["", "a.", "a*", "a.>.b", "a.b>", "*.", "a b"] {
            assert!(TopicPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
