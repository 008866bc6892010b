//! What is known of records that were given back. The broker only counts
//! deliveries; which of them count, a note beside the record says.
//!
//! A note is stored before the record is given back. A delivery without one,
//! or behind the one that its note tells of, followed a lease that ended or a
//! holder that was lost.

use bytes::Bytes;
use handbell_backend::CellName;
use handbell_protocol::Lane;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::state::Lent;
use crate::{
    api::{ApiError, parse},
    core::Core,
    error::Trouble,
    get::Which,
};

/// A record's note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The attempt that its next delivery is.
    pub(super) attempt: u32,
    /// The broker's count when it was given back.
    pub(super) count: u64,
    pub(super) suspect: bool,
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    error: Option<ApiError>,
}

impl Note {
    /// What is written as a record is given back.
    pub(super) fn of(lent: &Lent, counted: bool) -> Self {
        Self {
            attempt: lent.attempt + u32::from(counted),
            count: lent.count,
            // What was tried and failed hasn't killed its holder.
            suspect: lent.suspect && !counted,
        }
    }

    /// Attempt and suspicion of the delivery that the broker counts as `count`.
    pub(super) fn judge(note: Option<Self>, count: u64) -> (u32, bool) {
        let (attempt, after, suspect) = note.map_or((1, 0, false), |note| (note.attempt, note.count, note.suspect));
        let silent = count.saturating_sub(after + 1);
        (attempt.saturating_add(u32::try_from(silent).unwrap_or(u32::MAX)), suspect || silent > 0)
    }
}

/// The note of a record, with its number.
pub(super) async fn load(
    core: &Core,
    queue: &CellName,
    lane: Lane,
    sequence: u64,
) -> Result<Option<(Note, u64)>, Trouble> {
    let subject = core.layout.note(queue, lane, sequence);
    let raw = core.asker.get(&core.layout.queue_notes(), &Which::last_of(subject)).await?;
    raw.map(|raw| Ok((parse(&raw.payload)?, raw.sequence))).transpose()
}

/// Stores a note.
pub(super) async fn store(core: &Core, queue: &CellName, lent: &Lent, note: Note) -> Result<(), Trouble> {
    let subject = core.layout.note(queue, lent.lane, lent.sequence);
    let text = serde_json::to_vec(&note).map_err(|error| Trouble::NotSent(error.to_string()))?;
    let answer = core.asker.answer(subject, None, Bytes::from(text)).await?;
    match parse::<Ack>(&answer.payload)?.error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Removes a note whose record is done with. One that stays is in nobody's way.
pub(super) async fn remove(core: &Core, number: u64) {
    let body = json!({ "seq": number, "no_erase": true }).to_string();
    let subject = format!("$JS.API.STREAM.MSG.DELETE.{}", core.layout.queue_notes());
    drop(core.asker.client().publish(subject, body.into()).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_without_a_word_before_it_counts_and_is_suspect() {
        let note = |attempt, count, suspect| Some(Note { attempt, count, suspect });
        for (note, count, expected) in [
            (None, 1, (1, false)),
            (None, 2, (2, true)),
            (note(2, 1, false), 2, (2, false)),
            (note(1, 1, false), 2, (1, false)),
            (note(2, 1, false), 3, (3, true)),
            (note(2, 2, true), 3, (2, true)),
        ] {
            assert_eq!(Note::judge(note, count), expected, "{note:?}, delivery {count}");
        }
    }
}
