//! Deliveries of a partition that this member has given up: they stay with
//! their consumers, and their verdicts go to wherever the cursor is now.
//!
//! While nobody has claimed the partition, this member writes them into the
//! released cursor itself; once somebody has, it passes them on and waits for
//! the answer. A verdict is told only when it is durable, by either way.

use std::time::Duration;

use handbell_backend::{CellVersion, Position};
use handbell_protocol::{Kind, Timestamp};

use crate::{
    ConsumerId, Cursor, MemberId, Output, State, Suspicion, Token, Unsettled, Verdict, Word,
    member::Member,
    outgoing::printable,
    policy::{Fallout, REJECTED, fallout},
    window::Fate,
};

/// A released cursor is left alone for so long, so that whoever claims it
/// isn't disturbed.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_millis(500);
/// How often a word is said before this member looks who holds the partition now.
const TELLS: u32 = 2;

/// A verdict on its way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// The word's number.
    pub(crate) number: u64,
    /// Who waits for it; nobody for what expired or was lost.
    pub(crate) told: Option<(ConsumerId, Token)>,
    pub(crate) position: Position,
    pub(crate) kind: Kind,
    pub(crate) attempt: u32,
    pub(crate) fate: Fate,
}

/// The verdicts of one partition.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    pub(crate) pending: Vec<Pending>,
    pub(crate) place: Place,
}

/// Where the cursor is, as far as it is known.
#[derive(Debug)]
pub(crate) enum Place {
    /// It must be looked for, but not before that.
    Unknown { look: Timestamp },
    /// With nobody, since.
    Released { cursor: Cursor, version: CellVersion, since: Timestamp },
    /// With a member, to whom was told at that time.
    With { holder: MemberId, told: Timestamp, tells: u32 },
}

impl Default for Place {
    fn default() -> Self {
        Self::Unknown { look: Timestamp::default() }
    }
}

/// What to do next about pending verdicts.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing before that.
    Wait(Timestamp),
    /// Look where the cursor is.
    Load,
    /// Write them into the released cursor.
    Edit(Cursor, CellVersion),
}

impl Verdicts {
    /// What there is to do now.
    pub(crate) fn step(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        claimable: bool,
        out: &mut Vec<Output>,
    ) -> Option<Step> {
        if self.pending.is_empty() {
            return None;
        }
        Some(match &mut self.place {
            Place::Unknown { look } if now < *look => Step::Wait(*look),
            Place::Unknown { .. } => Step::Load,
            Place::Released { since, .. } if claimable && now < since.after(PATIENCE) => {
                Step::Wait(since.after(PATIENCE))
            }
            Place::Released { cursor, version, .. } => Step::Edit(cursor.clone(), *version),
            Place::With { told, .. } if now < told.after(ANSWER) => Step::Wait(told.after(ANSWER)),
            Place::With { holder, tells, .. } if *tells >= TELLS || !member.is_there(holder) => {
                self.place = Place::default();
                Step::Load
            }
            Place::With { holder, told, tells } => {
                (*told, *tells) = (now, *tells + 1);
                out.extend(self.pending.iter().map(|one| one.tell(holder)));
                Step::Wait(now.after(ANSWER))
            }
        })
    }

    /// The cursor is with a member: the next step tells it.
    pub(crate) fn with(&mut self, holder: MemberId) {
        self.place = Place::With { holder, told: Timestamp::default(), tells: 0 };
    }

    /// A verdict that came later is told at once.
    pub(crate) fn hurry(&mut self) {
        if let Place::With { told, .. } = &mut self.place {
            *told = Timestamp::default();
        }
    }

    /// The holder's answer.
    pub(crate) fn answered(&mut self, member: &mut Member, number: u64, effect: bool, out: &mut Vec<Output>) {
        if let Some(at) = self.pending.iter().position(|one| one.number == number) {
            self.pending.swap_remove(at).tell_consumer(member, effect, out);
        }
    }
}

impl Pending {
    fn tell(&self, holder: &MemberId) -> Output {
        let Self { number, position, attempt, fate: Fate { verdict, lost }, .. } = self.clone();
        Output::Tell { to: holder.clone(), word: Word::Settle { number, position, attempt, verdict, lost } }
    }

    pub(crate) fn tell_consumer(&self, member: &mut Member, effect: bool, out: &mut Vec<Output>) {
        match self.told {
            Some((consumer, token)) if effect => {
                member.counters.acked += u64::from(self.fate.verdict == Verdict::Ack);
                out.push(Output::Settled { consumer, token });
            }
            Some((consumer, token)) => member.gone(consumer, token, out),
            None => {}
        }
    }

    /// Applies the verdict to a released cursor; tells whether it has an effect.
    pub(crate) fn apply(&self, member: &mut Member, now: Timestamp, cursor: &mut Cursor) -> bool {
        let Some(mark) = cursor.marks.iter_mut().find(|mark| mark.position.comparable(&self.position)) else {
            return false;
        };
        let is_it = |one: &Unsettled| {
            one.offset == self.position.offset
                && one.failures + 1 == self.attempt
                && matches!(&one.state, State::Out(who) if who == member.me())
        };
        let Some(at) = mark.unsettled.iter().position(is_it) else { return false };
        match self.after(member, now, &mark.unsettled[at]) {
            Some(after) => mark.unsettled[at] = after,
            None => drop(mark.unsettled.swap_remove(at)),
        }
        true
    }

    /// What the record is after the verdict; `None`: done.
    fn after(&self, member: &mut Member, now: Timestamp, before: &Unsettled) -> Option<Unsettled> {
        let failures = before.failures + 1;
        let lost = self.fate.lost;
        let suspicion = if lost { Suspicion::Consumer } else { Suspicion::None };
        let failed = |state| Some(Unsettled { failures, suspicion, state, ..before.clone() });
        let dying =
            |class, reason| failed(State::Dying { class: printable(class, 64), reason: printable(reason, 200) });
        match &self.fate.verdict {
            Verdict::Ack => None,
            Verdict::Release => Some(Unsettled { state: State::Open { due: None }, ..before.clone() }),
            Verdict::Reject { .. } if self.kind == Kind::Notification => None,
            Verdict::Reject { reason } => dying(REJECTED, reason),
            Verdict::Nack { class, reason, delay } => {
                let random = member.random();
                match fallout(&member.config.retry, self.kind, failures, class, *delay, random) {
                    Fallout::Dropped => None,
                    Fallout::Dead => dying(class, reason),
                    Fallout::Again(wait) if wait <= crate::SHORT_DELAY => {
                        failed(State::Open { due: Some(now.after(wait)) })
                    }
                    Fallout::Again(wait) => failed(State::Moving { due: now.after(wait), lost }),
                }
            }
        }
    }
}
