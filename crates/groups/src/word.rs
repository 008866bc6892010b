//! What members of a group say to one another.

use handbell_backend::{Partition, Position};
use serde::{Deserialize, Serialize};

use crate::Verdict;

/// A word from member to member. Any may get lost or come twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Word {
    /// I have given the partition up: whoever should hold it may look.
    Released {
        /// The partition.
        partition: Partition,
    },
    /// A delivery that is still out here from when I held its partition is
    /// settled.
    Settle {
        /// The sender's number of this word; repeated when sent again.
        number: u64,
        /// Where the record lies.
        position: Position,
        /// Which delivery of it.
        attempt: u32,
        /// The verdict; what expired or was lost is a nack.
        verdict: Verdict,
        /// Whether its consumer was lost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    },
    /// The answer: durable, or without effect.
    Settled {
        /// The word's number.
        number: u64,
        /// Whether it had an effect.
        effect: bool,
    },
}

impl Word {
    /// The word as one line of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a word has only text keys")
    }

    /// Reads a word; another build's may be unknown.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
