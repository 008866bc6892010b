//! The ways on which events reach a consumer.

/// How events reach their consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Fanout,
    OrderedGroup,
    UnorderedGroup,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Fanout, Self::OrderedGroup, Self::UnorderedGroup];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fan-out",
            Self::OrderedGroup => "ordered group",
            Self::UnorderedGroup => "unordered group",
        }
    }

    /// What stands in `subscribe`.
    pub(super) fn subscription(self, topic: &str, group: &str) -> String {
        let topics = format!(r#""topics":["{topic}"],"credit":1024"#);
        match self {
            Self::Fanout => topics,
            Self::OrderedGroup => format!(r#"{topics},"group":"{group}""#),
            Self::UnorderedGroup => format!(r#"{topics},"group":"{group}","order":"none""#),
        }
    }
}
