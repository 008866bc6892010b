//! A consumer's end at the desk.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{desk::SeatId, shell::Lending};
use crate::{Leave, Token, Verdict, consumer_end::End};

pub(super) struct DeskEnd {
    lending: Arc<Lending>,
    seat: SeatId,
}

impl DeskEnd {
    pub(super) fn new(lending: Arc<Lending>, seat: SeatId) -> Self {
        Self { lending, seat }
    }
}

impl End for DeskEnd {
    fn credit(&self, ceiling: u32) {
        self.lending.with(|desk| desk.credit(self.seat, ceiling));
    }

    fn settle(&self, verdicts: Vec<(Token, Verdict)>) {
        self.lending.with(|desk| desk.settle(self.seat, verdicts));
    }

    fn extend(&self, token: Token, lease: Duration) {
        let now = Instant::now().into_std();
        self.lending.with(|desk| desk.extend(self.seat, token, lease, now));
    }

    fn connected(&self, connected: bool) {
        let now = Instant::now().into_std();
        self.lending.with(|desk| desk.connected(self.seat, connected, now));
    }

    fn leave(&self, how: Leave) {
        self.lending.with(|desk| desk.leave(self.seat, how));
    }
}
