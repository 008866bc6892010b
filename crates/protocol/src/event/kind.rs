//! What an event asks for: its kind and its priority.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked of whoever receives an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Do something: one handler, an answer is expected.
    Command,
    /// Something happened.
    Event,
    /// Tell something: one handler, an answer is expected.
    Query,
    /// Know something: no retry, no dead letter.
    Notification,
}

impl Kind {
    /// The kind that a type's name tells by its suffix; `event` without one.
    #[must_use]
    pub fn of_type(event_type: &str) -> Self {
        for (suffix, kind) in [("Command", Self::Command), ("Query", Self::Query), ("Notification", Self::Notification)]
        {
            if event_type.ends_with(suffix) {
                return kind;
            }
        }
        Self::Event
    }

    /// The name as it stands in JSON and in broker headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Event => "event",
            Self::Query => "query",
            Self::Notification => "notification",
        }
    }

    /// The kind of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Command, Self::Event, Self::Query, Self::Notification].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How urgent an event is; a higher one overtakes waiting lower ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// When there is time.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before normal ones.
    High,
    /// Before all others.
    Critical,
}

impl Priority {
    /// The priority of older agents' integers: 0 low, 1 normal, 2 high, 3 and
    /// more critical.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Low,
            1 => Self::Normal,
            2 => Self::High,
            _ => Self::Critical,
        }
    }

    /// The name as it stands in JSON and in broker headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The priority of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High, Self::Critical].into_iter().find(|p| p.as_str() == name)
    }

    /// The lane in which a broker carries it.
    #[must_use]
    pub const fn lane(self) -> Lane {
        match self {
            Self::High | Self::Critical => Lane::Express,
            Self::Low | Self::Normal => Lane::Regular,
        }
    }
}

/// One of the two roads of a channel. Order holds within a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// High and critical.
    Express,
    /// Normal and low.
    Regular,
}

impl Lane {
    /// Both, the faster one first.
    pub const ALL: [Self; 2] = [Self::Express, Self::Regular];

    /// The name as it stands in a broker's subject.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Express => "express",
            Self::Regular => "regular",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_tells_the_kind() {
        assert_eq!(Kind::of_type("DeployCommand"), Kind::Command);
        assert_eq!(Kind::of_type("StatusQuery"), Kind::Query);
        assert_eq!(Kind::of_type("BuildNotification"), Kind::Notification);
        assert_eq!(Kind::of_type("plan_ready"), Kind::Event);
    }

    #[test]
    fn names_read_back() {
        for kind in [Kind::Command, Kind::Event, Kind::Query, Kind::Notification] {
            assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(Priority::from_name("urgent"), None);
    }

    #[test]
    fn numbers_from_three_are_critical() {
        assert_eq!(Priority::from_number(0), Priority::Low);
        assert_eq!(Priority::from_number(7), Priority::Critical);
        assert_eq!(Priority::Critical.lane(), Lane::Express);
    }
}
