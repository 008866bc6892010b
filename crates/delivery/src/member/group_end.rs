//! A consumer of a group: while it can be reached, the other members know that
//! the group is worked on here. One whose agent is away keeps what it has, and
//! counts for nothing when the partitions are shared out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use handbell_protocol::Segment;

use crate::{Leave, Token, Verdict, consumer_end::End, members::Members};

pub(super) struct Joined {
    end: Arc<dyn End>,
    members: Arc<Members>,
    group: Segment,
    /// It counts as one of the group's consumers here.
    counted: AtomicBool,
}

impl Joined {
    pub(super) fn new(end: Arc<dyn End>, members: Arc<Members>, group: Segment) -> Self {
        let joined = Self { end, members, group, counted: AtomicBool::new(false) };
        joined.count(true);
        joined
    }

    fn count(&self, counted: bool) {
        match (self.counted.swap(counted, Ordering::AcqRel), counted) {
            (false, true) => self.members.join_group(&self.group),
            (true, false) => self.members.leave_group(&self.group),
            _ => {}
        }
    }
}

impl End for Joined {
    fn credit(&self, ceiling: u32) {
        self.end.credit(ceiling);
    }

    fn settle(&self, verdicts: Vec<(Token, Verdict)>) {
        self.end.settle(verdicts);
    }

    fn extend(&self, token: Token, lease: Duration) {
        self.end.extend(token, lease);
    }

    fn connected(&self, connected: bool) {
        self.end.connected(connected);
        self.count(connected);
    }

    fn leave(&self, how: Leave) {
        self.end.leave(how);
        self.count(false);
    }
}
