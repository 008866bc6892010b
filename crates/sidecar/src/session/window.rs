//! The publish window: sequence numbers, repeats and go-back-N.
//!
//! | seq | is | then |
//! |---|---|---|
//! | in flight | same content | wait for its receipt |
//! | answered | same content | the same answer again |
//! | either | other content | `duplicate_seq` |
//! | failed, lowest | same content, or not stored | handed over again |
//! | above a failed or refused one | | that one's code |
//! | the next | window free | handed over |
//! | the next | window full | `busy` |
//! | above the next | | `seq_gap` |
//! | below the next, forgotten | | handed over under its ID: the backend knows repeats |

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use handbell_backend::{Position, PublishError, Stored};
use handbell_protocol::{Code, Refusal};

/// A publish that the broker has, or has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Of the content, as the agent wrote it.
    pub(super) digest: u64,
    /// Its number among the outputs of its cause, so that a repeat keeps its ID.
    pub(super) output: Option<u64>,
}

/// What is to be done with a publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Hand it over; with what an earlier try was given.
    Hand(Option<Sent>),
    /// It is under way.
    UnderWay,
    /// It is stored: answer with this, as a duplicate.
    Stored {
        /// The event's ID.
        id: String,
        /// Its position.
        position: Position,
    },
    /// Refuse it.
    Refuse(Refusal),
}

#[derive(Debug)]
enum Ended {
    Stored { id: String, position: Position },
    Refused(Refusal),
}

/// The state of a producer's sequence in one session.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    next: u64,
    /// So many of the next seqs may lie above the one that is due: after a
    /// resume, what lies between was answered before.
    leaps: usize,
    in_flight: BTreeMap<u64, Sent>,
    failed: BTreeMap<u64, (Sent, Refusal)>,
    /// What was refused and left open without being handed over: nothing leaps
    /// over it.
    refused: BTreeMap<u64, Refusal>,
    /// The last answers, in full.
    answered: BTreeMap<u64, (u64, Ended)>,
    /// The numbers of the last outputs that were stored, by seq: a repeat keeps
    /// its ID, by which the backend knows it.
    outputs: VecDeque<(u64, u32)>,
}

/// Stands for the content of what can't be read.
const UNREADABLE: u64 = 0;
/// So many answers are kept in full: an idle session is to be small, and of
/// older repeats the backend knows.
const ANSWERS: usize = 32;
const BUSY_WAIT: Duration = Duration::from_millis(50);

impl Window {
    /// `limit` publishes may be unanswered. A producer that `goes_on` from
    /// another session first sends again what was unanswered there.
    pub(super) fn new(limit: usize, goes_on: bool) -> Self {
        Self {
            limit,
            next: 1,
            leaps: if goes_on { limit } else { 0 },
            in_flight: BTreeMap::new(),
            failed: BTreeMap::new(),
            refused: BTreeMap::new(),
            answered: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A socket came back: what was in the lost one may be missing.
    pub(super) fn resumed(&mut self) {
        self.leaps = self.leaps.max(1);
    }

    /// Decides about `seq`; changes nothing but what makes a refusal stick.
    pub(super) fn admit(&mut self, seq: u64, digest: u64) -> Admission {
        if let Some(sent) = self.in_flight.get(&seq) {
            return if sent.digest == digest { Admission::UnderWay } else { Admission::Refuse(reused(seq)) };
        }
        if let Some((known, ended)) = self.answered.get(&seq) {
            return match ended {
                _ if *known != digest => Admission::Refuse(reused(seq)),
                Ended::Stored { id, position } => Admission::Stored { id: id.clone(), position: position.clone() },
                Ended::Refused(refusal) => Admission::Refuse(refusal.clone()),
            };
        }
        if let Some(admission) = self.admit_after_failure(seq, digest) {
            return admission;
        }
        if self.leaps > 0 && seq > self.next {
            let due = self.refused.first_key_value().map_or(seq, |(due, _)| seq.min(*due));
            self.next = self.next.max(due);
        }
        match seq.cmp(&self.next) {
            std::cmp::Ordering::Less => self.admit_into_window(self.output_of(seq, digest)),
            std::cmp::Ordering::Equal => {
                let admission = self.admit_into_window(None);
                if let Admission::Refuse(refusal) = &admission {
                    self.refused.insert(seq, refusal.clone());
                }
                admission
            }
            std::cmp::Ordering::Greater => {
                let Some(refusal) = self.refused.get(&self.next).cloned() else {
                    return Admission::Refuse(self.gap(seq));
                };
                self.note_refused(seq, &refusal);
                Admission::Refuse(refusal)
            }
        }
    }

    fn admit_after_failure(&mut self, seq: u64, digest: u64) -> Option<Admission> {
        let (lowest, (sent, refusal)) = self.failed.first_key_value()?;
        let refusal = refusal.clone();
        if seq == *lowest {
            let same = (sent.digest == digest).then(|| sent.clone());
            if same.is_none() && refusal.code == Code::InDoubt {
                return Some(Admission::Refuse(reused(seq)));
            }
            // Other content may come in place of what is not stored.
            return Some(self.admit_into_window(same));
        }
        if seq < *lowest {
            return None;
        }
        if seq >= self.next {
            self.note_refused(seq, &refusal);
        }
        Some(Admission::Refuse(refusal))
    }

    /// While seqs may leap, none does over this one.
    fn note_refused(&mut self, seq: u64, refusal: &Refusal) {
        if self.leaps > 0 && self.refused.len() <= self.limit {
            self.refused.insert(seq, refusal.clone());
        }
    }

    /// There is no room for it elsewhere: `busy`, and what follows is too,
    /// until it comes again.
    pub(super) fn held_back(&mut self, seq: u64, reason: &str) -> Refusal {
        let refusal = Refusal::new(Code::Busy, reason).after(BUSY_WAIT);
        if seq == self.next {
            self.refused.insert(seq, refusal.clone());
        }
        refusal
    }

    fn admit_into_window(&self, earlier: Option<Sent>) -> Admission {
        if self.in_flight.len() < self.limit {
            return Admission::Hand(earlier);
        }
        let reason = format!("{} publishes are unanswered, which is the window; wait for their answers", self.limit);
        Admission::Refuse(Refusal::new(Code::Busy, reason).after(BUSY_WAIT))
    }

    fn gap(&self, seq: u64) -> Refusal {
        let due = self.next;
        Refusal::new(Code::SeqGap, format!("seq {seq} came, but {due} is due; send {due} and then all above it again"))
    }

    /// It was handed to the broker.
    pub(super) fn handed(&mut self, seq: u64, sent: Sent) {
        self.failed.remove(&seq);
        self.in_flight.insert(seq, sent);
        self.step_over(seq);
    }

    /// It ended without being handed over.
    pub(super) fn ended(&mut self, seq: u64, digest: u64, refusal: Refusal) {
        self.failed.remove(&seq);
        self.step_over(seq);
        self.remember(seq, digest, Ended::Refused(refusal));
    }

    /// A frame that can't be read has this seq. It ends the seq where it is
    /// due; elsewhere it is answered like any other publish.
    pub(super) fn refuse(&mut self, seq: u64, refusal: Refusal) -> Refusal {
        match self.admit(seq, UNREADABLE) {
            Admission::Refuse(other) => other,
            Admission::Hand(_) => {
                self.ended(seq, UNREADABLE, refusal.clone());
                refusal
            }
            Admission::UnderWay | Admission::Stored { .. } => refusal,
        }
    }

    fn step_over(&mut self, seq: u64) {
        self.refused.remove(&seq);
        if seq >= self.next {
            self.leaps = self.leaps.saturating_sub(1);
            self.next = seq + 1;
        }
    }

    /// The broker has answered. `None` when the session knows nothing of it.
    pub(super) fn receipt(&mut self, seq: u64, result: &Result<Stored, PublishError>) -> Option<Result<(), Refusal>> {
        let sent = self.in_flight.remove(&seq)?;
        Some(match result {
            Ok(stored) => {
                let ended = Ended::Stored { id: stored.id.clone(), position: stored.position.clone() };
                self.remember(seq, sent.digest, ended);
                self.remember_output(seq, sent.output);
                Ok(())
            }
            Err(error) => {
                let refusal = refusal_of(error, seq);
                if refusal.code.leaves_seq_open() {
                    self.failed.insert(seq, (sent, refusal.clone()));
                } else if *error != PublishError::Conflict {
                    // Of a conflict the backend knows the first content, and it alone.

                    self.remember(seq, sent.digest, Ended::Refused(refusal.clone()));
                }
                Err(refusal)
            }
        })
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.answered.len(), self.outputs.len())
    }

    fn remember(&mut self, seq: u64, digest: u64, ended: Ended) {
        self.answered.insert(seq, (digest, ended));
        while self.answered.len() > ANSWERS {
            self.answered.pop_first();
        }
    }

    fn remember_output(&mut self, seq: u64, output: Option<u64>) {
        let Some(number) = output.and_then(|number| u32::try_from(number).ok()) else { return };
        self.outputs.push_back((seq, number));
        if self.outputs.len() > self.limit.saturating_mul(2).max(1_024) {
            self.outputs.pop_front();
        }
    }

    fn output_of(&self, seq: u64, digest: u64) -> Option<Sent> {
        let (_, number) = self.outputs.iter().rev().find(|(known, _)| *known == seq)?;
        Some(Sent { digest, output: Some(u64::from(*number)) })
    }
}

fn reused(seq: u64) -> Refusal {
    Refusal::new(
        Code::DuplicateSeq,
        format!("seq {seq} was used for other content before; give each publish the next number of its producer"),
    )
}

/// The refusal that a failed publish is told with.
pub(super) fn refusal_of(error: &PublishError, seq: u64) -> Refusal {
    match error {
        PublishError::Busy { retry_after } => Refusal::new(Code::Busy, error.to_string()).after(*retry_after),
        PublishError::Unavailable(_) => {
            Refusal::new(Code::BackendUnavailable, format!("{error}; nothing was stored, send it again"))
                .after(BUSY_WAIT)
        }
        PublishError::InDoubt(_) => {
            Refusal::new(Code::InDoubt, format!("{error}; send the same again, it is stored once")).after(BUSY_WAIT)
        }
        PublishError::TooLarge { .. } => Refusal::new(Code::TooLarge, error.to_string()),
        PublishError::Conflict => reused(seq),
        PublishError::Refused(_) => Refusal::new(Code::InvalidEnvelope, error.to_string()),
    }
}

#[cfg(test)]
mod tests;
