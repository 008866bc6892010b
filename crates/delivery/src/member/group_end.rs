//! A consumer of a group: while it is here, the other members know that the
//! group is worked on here.

use std::{sync::Arc, time::Duration};

use handbell_protocol::Segment;

use crate::{Leave, Token, Verdict, consumer_end::End, members::Members};

pub(super) struct Joined {
    end: Arc<dyn End>,
    members: Arc<Members>,
    group: Segment,
}

impl Joined {
    pub(super) fn new(end: Arc<dyn End>, members: Arc<Members>, group: Segment) -> Self {
        members.join_group(&group);
        Self { end, members, group }
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
    }

    fn leave(&self, how: Leave) {
        self.end.leave(how);
        self.members.leave_group(&self.group);
    }
}
