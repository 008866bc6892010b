//! Where reading begins, resolved: `new` becomes the ends at this moment, so
//! that what is published afterwards is read however often a tail is opened.

use std::collections::BTreeMap;

use handbell_backend::{Backend, Class, Partition, PartitionCount, Position, Start};
use handbell_protocol::{Lane, Timestamp, frame::From};
use serde::{Deserialize, Serialize};

use crate::JoinError;

/// A beginning for every partition of both lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Starts {
    /// The same for all.
    Same(Beginning),
    /// One for each that has an end; the others were empty and begin with the oldest.
    Each(Vec<Position>),
}

/// A beginning that means the same whenever it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Beginning {
    Oldest,
    Time(Timestamp),
    At(Position),
}

impl Starts {
    /// Resolves `from` now.
    pub(crate) async fn resolve(from: &From, backend: &dyn Backend) -> Result<Self, JoinError> {
        Ok(match from {
            From::Start => Self::Same(Beginning::Oldest),
            From::Time(time) => Self::Same(Beginning::Time(*time)),
            From::Position(position) => Self::Same(Beginning::At(position.parse()?)),
            From::New => {
                let mut ends = Vec::new();
                for lane in Lane::ALL {
                    ends.extend(backend.ends(Class::Ev, lane).await?.into_iter().map(|(_, end)| end));
                }
                Self::Each(ends)
            }
        })
    }

    /// Where a partition of a lane begins.
    pub(crate) fn of(&self, lane: Lane, partition: Partition) -> Start {
        match self {
            Self::Same(Beginning::Oldest) => Start::Oldest,
            Self::Same(Beginning::Time(time)) => Start::Time(*time),
            Self::Same(Beginning::At(position)) => Start::At(position.clone()),
            Self::Each(ends) => {
                let end = ends.iter().find(|end| end.lane == lane && end.partition == partition);
                end.map_or(Start::Oldest, |end| Start::After(end.clone()))
            }
        }
    }

    /// Where each partition of a lane begins.
    pub(crate) fn of_lane(&self, lane: Lane, count: PartitionCount) -> BTreeMap<Partition, Start> {
        count.iter().map(|partition| (partition, self.of(lane, partition))).collect()
    }
}
