//! Groups without order: a backend queue over the group's topics.
//!
//! Owns the queue's name and rules; the handing out is in `lending`, the same
//! as for direct work. Events that the group's filter refuses are settled as
//! they are pulled, without credit.

use std::sync::Arc;

use handbell_backend::{BadPosition, CellName, Class, QueueSpec, Start};
use handbell_protocol::{Segment, frame::From};

use crate::{
    JoinError,
    lending::{Kind, QueueOf, Rules},
    settings::Stored,
    sieve::Sieve,
};

/// The queue of a group without order.
pub(crate) fn queue(group: &Segment, stored: &Stored) -> Result<QueueOf, JoinError> {
    let spec = QueueSpec {
        name: name(group),
        class: Class::Ev,
        topics: stored.topics.clone(),
        start: start(&stored.from)?,
        ack_wait: stored.ack_wait,
    };
    let rules = Rules {
        receiver: group.as_str().into(),
        retry: stored.retry.clone(),
        ack_wait: stored.ack_wait,
        kind: Kind::Work,
    };
    Ok(QueueOf { spec, rules, sieve: Arc::new(Sieve::compile(&stored.filter)?) })
}

/// The cell under which the backend keeps the queue.
pub(crate) fn name(group: &Segment) -> CellName {
    CellName::of(&["queue", "group", group.as_str()])
}

/// `New` is taken by the queue itself, which is made before anybody has joined.
fn start(from: &From) -> Result<Start, BadPosition> {
    Ok(match from {
        From::Start => Start::Oldest,
        From::New => Start::New,
        From::Time(time) => Start::Time(*time),
        From::Position(position) => Start::At(position.parse()?),
    })
}
