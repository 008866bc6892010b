//! Storing a released cursor: giving a partition up, and afterwards writing
//! verdicts into it while nobody has claimed it.

use std::time::Duration;

use handbell_backend::{CellVersion, Partition};
use handbell_protocol::Timestamp;

use super::{Phase, Seat};
use crate::{
    Cursor, Output, Request, Word,
    away::{Pending, Place},
    member::Member,
    window::{Batch, Released},
};

/// A released cursor on its way into the cell.
#[derive(Debug)]
pub(super) struct Editing {
    pub(super) store: Request,
    /// The load that tells how the store ended, when it is in doubt.
    pub(super) check: Option<Request>,
    cursor: Cursor,
    expected: Option<CellVersion>,
    /// What of the window waits for it.
    batch: Option<Batch>,
    /// Pending verdicts that it holds, and whether they had an effect.
    answers: Vec<(u64, bool)>,
    /// It gives up a partition that was held.
    release: bool,
    /// After a store in doubt: again then.
    pub(super) again: Option<Timestamp>,
    doubts: u32,
    /// Earlier stores of the window that were in doubt: one of them may be
    /// what fences this one.
    earlier: Vec<u64>,
}

impl Seat {
    /// Once it has begun, it is released, wanted again or not.
    pub(super) fn try_release(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        let Some(released) = self.window().and_then(|window| window.release(member)) else { return };
        let Released { cursor, version, batch, doubts, claimed } = released;
        let editing = Editing::new(cursor, version, Some(batch), vec![], claimed);
        self.start_edit(member, Editing { earlier: doubts, ..editing }, out);
    }

    pub(super) fn edit(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        mut cursor: Cursor,
        version: CellVersion,
        out: &mut Vec<Output>,
    ) {
        let answer = |pending: &Pending, member: &mut Member, cursor: &mut Cursor| {
            (pending.number, pending.apply(member, now, cursor))
        };
        let answers = self.verdicts.pending.iter().map(|one| answer(one, member, &mut cursor)).collect();
        let number = member.number();
        let cursor = Cursor { holder: member.me().clone(), number, released: true, ..cursor };
        let editing = Editing::new(cursor, Some(version), None, answers, false);
        self.start_edit(member, editing, out);
    }

    fn start_edit(&mut self, member: &mut Member, mut editing: Editing, out: &mut Vec<Output>) {
        editing.store(self.partition, member, out);
        self.phase = Phase::Editing(Box::new(editing));
    }

    pub(super) fn edited(&mut self, member: &mut Member, now: Timestamp, version: CellVersion, out: &mut Vec<Output>) {
        let Phase::Editing(editing) = std::mem::replace(&mut self.phase, Phase::Free) else { return };
        for (number, effect) in editing.answers {
            self.verdicts.answered(member, number, effect, out);
        }
        if let Some(batch) = editing.batch {
            batch.settled(member, out);
        }
        self.verdicts.place = Place::Released { cursor: editing.cursor, version, since: now };
        if editing.release {
            out.push(Output::Released { partition: self.partition });
            let owner = member.owners.get(&self.partition).filter(|owner| *owner != member.me());
            if let Some(owner) = owner.cloned() {
                out.push(Output::Tell { to: owner, word: Word::Released { partition: self.partition } });
            }
        }
    }

    pub(super) fn edit_fenced(&mut self, member: &mut Member, out: &mut Vec<Output>) {
        let Phase::Editing(editing) = std::mem::replace(&mut self.phase, Phase::Free) else { return };
        self.verdicts.place = Place::default();
        if let Some(batch) = editing.batch {
            batch.gone(member, out);
        }
        if editing.release {
            member.counters.fenced += 1;
            out.push(Output::Released { partition: self.partition });
        }
    }

    pub(super) fn look_at_edit(
        &mut self,
        member: &mut Member,
        now: Timestamp,
        found: Option<(Cursor, CellVersion)>,
        out: &mut Vec<Output>,
    ) {
        let Phase::Editing(editing) = &mut self.phase else { return };
        editing.check = None;
        let version = found.as_ref().map(|(_, version)| *version);
        match (found, version) {
            (Some((cursor, _)), Some(version)) if cursor == editing.cursor => self.edited(member, now, version, out),
            (Some((cursor, _)), version)
                if cursor.holder == *member.me() && editing.earlier.contains(&cursor.number) =>
            {
                editing.expected = version;
                editing.store(self.partition, member, out);
            }
            (_, version) if version == editing.expected => {
                let at = now.after(Duration::from_millis(10) * (1 << editing.doubts.min(7)));
                editing.again = Some(at);
                member.look_at(self.partition, at);
            }
            _ => self.edit_fenced(member, out),
        }
    }
}

impl Editing {
    fn new(
        cursor: Cursor,
        expected: Option<CellVersion>,
        batch: Option<Batch>,
        answers: Vec<(u64, bool)>,
        release: bool,
    ) -> Self {
        Self {
            store: Request(0),
            check: None,
            cursor,
            expected,
            batch,
            answers,
            release,
            again: None,
            doubts: 0,
            earlier: vec![],
        }
    }

    /// Whether a fence can only come from another member.
    pub(super) fn is_certain(&self) -> bool {
        self.doubts == 0 && self.earlier.is_empty()
    }

    /// Always the same bytes, so that an earlier store in doubt is this one.
    pub(super) fn store(&mut self, partition: Partition, member: &mut Member, out: &mut Vec<Output>) {
        self.again = None;
        self.store = member.request();
        let value = self.cursor.encode();
        out.push(Output::Store { request: self.store, partition, value, expected: self.expected });
    }

    pub(super) fn look(&mut self, partition: Partition, member: &mut Member, out: &mut Vec<Output>) {
        let request = member.request();
        self.doubts += 1;
        self.check = Some(request);
        out.push(Output::Load { request, partition });
    }
}
