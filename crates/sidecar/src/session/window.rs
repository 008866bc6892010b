//! The publish window: sequence numbers, repeats and go-back-N.
//!
//! | seq | is | then |
//! |---|---|---|
//! | in flight | same content | wait for its receipt |
//! | answered | same content | the same answer again |
//! | either | other content | `duplicate_seq` |
//! | failed, lowest | same content | handed over again |
//! | above a failed or refused one | | that one's code |
//! | the next | window free | handed over |
//! | the next | window full | `busy` |
//! | above the next | | `seq_gap` |
//! | below the next, forgotten | | handed over under its ID: the backend knows repeats |

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use handbell_backend::{PublishError, Stored};
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
        position: String,
    },
    /// Refuse it.
    Refuse(Refusal),
}

#[derive(Debug)]
enum Ended {
    Stored { id: String, position: String },
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
                Admission::Refuse(self.refused.get(&self.next).cloned().unwrap_or_else(|| self.gap(seq)))
            }
        }
    }

    fn admit_after_failure(&mut self, seq: u64, digest: u64) -> Option<Admission> {
        let (lowest, (sent, refusal)) = self.failed.first_key_value()?;
        if seq == *lowest {
            if sent.digest != digest {
                return Some(Admission::Refuse(reused(seq)));
            }
            let sent = sent.clone();
            return Some(self.admit_into_window(Some(sent)));
        }
        if seq < *lowest {
            return None;
        }
        if self.leaps > 0 && seq >= self.next && self.refused.len() <= self.limit {
            self.refused.insert(seq, refusal.clone());
        }
        Some(Admission::Refuse(refusal.clone()))
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
                let ended = Ended::Stored { id: stored.id.clone(), position: stored.position.to_string() };
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
mod tests {
    use handbell_backend::{Class, Incarnation, Partition, Position};
    use handbell_protocol::{Lane, Timestamp};

    use super::*;

    fn stored() -> Result<Stored, PublishError> {
        let position = Position {
            log: "".into(),
            incarnation: Incarnation(1),
            class: Class::Ev,
            lane: Lane::Regular,
            partition: Partition(0),
            offset: 7,
            time: Timestamp::default(),
        };
        Ok(Stored { position, id: "e".into(), duplicate: false })
    }

    fn hand(window: &mut Window, seq: u64) {
        assert_eq!(window.admit(seq, seq), Admission::Hand(None), "seq {seq}");
        window.handed(seq, Sent { digest: seq, output: None });
    }

    fn code(admission: Admission) -> Code {
        match admission {
            Admission::Refuse(refusal) => refusal.code,
            other => panic!("{other:?} is no refusal"),
        }
    }

    #[test]
    fn a_gap_stores_nothing_and_the_missing_one_stays_due() {
        let mut window = Window::new(8, false);
        hand(&mut window, 1);
        assert_eq!(code(window.admit(3, 3)), Code::SeqGap);
        hand(&mut window, 2);
        hand(&mut window, 3);
    }

    #[test]
    fn a_repeat_gets_its_first_answer_and_other_content_is_told() {
        let mut window = Window::new(8, false);
        hand(&mut window, 1);
        assert_eq!(window.admit(1, 1), Admission::UnderWay);
        assert_eq!(code(window.admit(1, 9)), Code::DuplicateSeq);
        window.receipt(1, &stored()).unwrap().unwrap();
        assert!(matches!(window.admit(1, 1), Admission::Stored { .. }));
        assert_eq!(code(window.admit(1, 9)), Code::DuplicateSeq);
    }

    /// Schedule 19: seq 5 is busy; the agent goes on, then sends 5 again.
    #[test]
    fn schedule_19_everything_above_an_open_seq_waits_for_it() {
        let mut window = Window::new(8, false);
        for seq in 1..=3 {
            hand(&mut window, seq);
        }
        window.receipt(1, &stored()).unwrap().unwrap();
        let failed = window.receipt(2, &Err(PublishError::InDoubt("gone".into()))).unwrap().unwrap_err();
        assert_eq!(failed.code, Code::InDoubt);
        assert_eq!(code(window.admit(4, 4)), Code::InDoubt);
        assert_eq!(code(window.admit(3_000, 3_000)), Code::InDoubt);
        assert_eq!(code(window.admit(2, 9)), Code::DuplicateSeq);
        assert!(matches!(window.admit(2, 2), Admission::Hand(Some(_))));
        window.handed(2, Sent { digest: 2, output: None });
        hand(&mut window, 4);
    }

    #[test]
    fn a_full_window_is_busy_and_what_follows_is_busy_too_until_it_comes_again() {
        let mut window = Window::new(2, false);
        hand(&mut window, 1);
        hand(&mut window, 2);
        assert_eq!(code(window.admit(3, 3)), Code::Busy);
        assert_eq!(code(window.admit(4, 4)), Code::Busy);
        window.receipt(1, &stored()).unwrap().unwrap();
        assert_eq!(code(window.admit(4, 4)), Code::Busy);
        hand(&mut window, 3);
    }

    #[test]
    fn of_old_repeats_the_backend_knows_by_the_id_that_they_keep() {
        let mut window = Window::new(100, false);
        for seq in 1..=100 {
            assert_eq!(window.admit(seq, seq), Admission::Hand(None));
            window.handed(seq, Sent { digest: seq, output: (seq < 3).then_some(seq + 10) });
            window.receipt(seq, &stored()).unwrap().unwrap();
        }
        assert!(matches!(window.admit(100, 100), Admission::Stored { .. }));
        assert_eq!(window.admit(50, 50), Admission::Hand(None));
        assert_eq!(window.admit(2, 2), Admission::Hand(Some(Sent { digest: 2, output: Some(12) })));
        assert_eq!(window.answered.len(), ANSWERS);
    }

    #[test]
    fn after_a_resume_elsewhere_only_what_was_unanswered_comes_again() {
        let mut window = Window::new(3, true);
        hand(&mut window, 41);
        hand(&mut window, 44);
        window.receipt(41, &stored()).unwrap().unwrap();
        hand(&mut window, 46);
        assert_eq!(code(window.admit(48, 48)), Code::SeqGap, "more than a window can't have been unanswered");
        hand(&mut window, 47);
    }

    #[test]
    fn after_a_resume_nothing_leaps_over_what_was_refused() {
        let mut window = Window::new(8, true);
        hand(&mut window, 41);
        window.receipt(41, &Err(PublishError::InDoubt("gone".into()))).unwrap().unwrap_err();
        for seq in [43, 45] {
            assert_eq!(code(window.admit(seq, seq)), Code::InDoubt);
        }
        assert!(matches!(window.admit(41, 41), Admission::Hand(Some(_))));
        window.handed(41, Sent { digest: 41, output: None });
        assert_eq!(code(window.admit(46, 46)), Code::InDoubt, "43 is due");
        hand(&mut window, 43);
        assert_eq!(code(window.admit(46, 46)), Code::InDoubt, "45 is due");
        hand(&mut window, 45);
        hand(&mut window, 46);
    }

    #[test]
    fn a_window_that_is_full_after_a_resume_keeps_the_order() {
        let mut window = Window::new(2, false);
        hand(&mut window, 1);
        hand(&mut window, 2);
        window.resumed();
        assert_eq!(window.admit(1, 1), Admission::UnderWay);
        assert_eq!(code(window.admit(3, 3)), Code::Busy);
        window.receipt(1, &stored()).unwrap().unwrap();
        assert_eq!(code(window.admit(4, 4)), Code::Busy, "3 comes first");
        hand(&mut window, 3);
    }

    #[test]
    fn what_can_not_be_read_ends_its_seq_only_where_it_is_due() {
        let mut window = Window::new(8, false);
        hand(&mut window, 1);
        window.receipt(1, &Err(PublishError::Unavailable("full".into()))).unwrap().unwrap_err();
        let unreadable = || Refusal::new(Code::Protocol, "unreadable");
        assert_eq!(window.refuse(2, unreadable()).code, Code::BackendUnavailable, "1 is open");
        assert!(matches!(window.admit(1, 1), Admission::Hand(Some(_))));
        window.handed(1, Sent { digest: 1, output: None });
        assert_eq!(window.refuse(3, unreadable()).code, Code::SeqGap, "2 is due");
        assert_eq!(window.refuse(2, unreadable()).code, Code::Protocol);
        assert_eq!(window.refuse(2, unreadable()).code, Code::Protocol, "the same answer again");
        hand(&mut window, 3);
    }

    #[test]
    fn other_content_that_came_first_does_not_stand_for_the_right_one() {
        let mut window = Window::new(8, true);
        assert_eq!(window.admit(7, 70), Admission::Hand(None));
        window.handed(7, Sent { digest: 70, output: None });
        window.receipt(7, &Err(PublishError::Conflict)).unwrap().unwrap_err();
        assert_eq!(window.admit(7, 7), Admission::Hand(None), "the backend knows which was first");
    }

    #[test]
    fn a_refused_seq_is_over_and_the_next_goes_on() {
        let mut window = Window::new(8, false);
        assert_eq!(window.admit(1, 1), Admission::Hand(None));
        window.ended(1, 1, Refusal::envelope("bad"));
        assert_eq!(code(window.admit(1, 1)), Code::InvalidEnvelope);
        hand(&mut window, 2);
    }
}
