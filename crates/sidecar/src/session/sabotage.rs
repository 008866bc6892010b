//! Planted bugs: what the simulation must catch. No build that runs has them.

use std::sync::Arc;

use handbell_backend::{Dedup, PublishError, Stored};
use handbell_delivery::Verdict;
use handbell_protocol::{
    Code, Envelope,
    frame::{Published, ServerFrame},
};

use super::{
    Effect, Session,
    deliveries::{Deliveries, State},
    publish::{Prepared, Purpose},
    records::records_of,
    window::Admission,
};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// `published` is told when the event is handed over.
    PublishedEarly,
    /// A publish in doubt is told as published.
    DoubtIsSuccess,
    /// A session that goes on gives old numbers new dedup keys.
    ResumeForgotten,
    /// What is above an open seq is handed over.
    GoBackIgnored,
    /// More publishes may be unanswered than the window says.
    WindowIgnored,
    /// Consumers are told twice the ceiling.
    CreditIgnored,
    /// A delivery is settled before its outputs are stored.
    SettledBeforeOutputs,
    /// The outputs of an `ack` that comes again get new numbers.
    OutputsRenumbered,
    /// One refused output doesn't keep the others from being stored.
    RefusedOutputsStored,
    /// Delivery IDs can be guessed: one of an old session fits.
    OldDeliveriesAccepted,
    /// A delivery is settled once for each verdict.
    SettledTwice,
    /// Deliveries go out before `subscribed`.
    DeliveredBeforeSubscribed,
    /// What is unsettled isn't told again after a resume.
    NotToldAgain,
    /// A call that was closed takes another answer.
    SecondReply,
    /// `settled` is told when the verdict is passed on.
    SettledEarly,
}

impl Session {
    /// Plants a bug, before the first input.
    pub fn plant(&mut self, bug: Sabotage) {
        self.sabotage = Some(bug);
        if bug == Sabotage::OldDeliveriesAccepted {
            self.deliveries = Deliveries::new([0; 32]);
        }
    }

    pub(super) fn sabotaged(&self, bug: Sabotage) -> bool {
        self.sabotage == Some(bug)
    }

    pub(super) fn admit_sabotaged(&self, admission: Admission) -> Admission {
        match admission {
            Admission::Refuse(refusal)
                if self.sabotaged(Sabotage::GoBackIgnored)
                    && matches!(refusal.code, Code::InDoubt | Code::BackendUnavailable)
                    || self.sabotaged(Sabotage::WindowIgnored) && refusal.code == Code::Busy =>
            {
                Admission::Hand(None)
            }
            admission => admission,
        }
    }

    pub(super) fn dedup_sabotaged(&self, dedup: Dedup) -> Dedup {
        if self.sabotaged(Sabotage::ResumeForgotten) {
            return Dedup { key: format!("{}/{}", self.member, dedup.key), ..dedup };
        }
        dedup
    }

    pub(super) fn tell_published_early(&mut self, seq: u64, envelope: &Arc<Envelope>) {
        if self.sabotaged(Sabotage::PublishedEarly) {
            let (id, position) = (envelope.event.id.clone(), String::new());
            self.send(ServerFrame::Published(Published { seq, id, position, duplicate: false }));
        }
    }

    pub(super) fn receipt_sabotaged(&self, result: Result<Stored, PublishError>) -> Result<Stored, PublishError> {
        match result {
            Err(PublishError::InDoubt(_)) if self.sabotaged(Sabotage::DoubtIsSuccess) => {
                let position = "p1.ev.regular.0.1.1.0.".parse().expect("a position");
                Ok(Stored { position, id: "made-up".into(), duplicate: false })
            }
            result => result,
        }
    }

    pub(super) fn ceiling_sabotaged(&self, ceiling: u32) -> u32 {
        if self.sabotaged(Sabotage::CreditIgnored) { ceiling * 2 } else { ceiling }
    }

    pub(super) fn reopen_sabotaged(&mut self, delivery: &str) {
        if self.sabotaged(Sabotage::SettledTwice)
            && let Some(held) = self.deliveries.get(delivery)
        {
            held.state = State::Out;
        }
    }

    pub(super) fn renumber_sabotaged(&self, numbers: &mut Vec<u64>) {
        if self.sabotaged(Sabotage::OutputsRenumbered) {
            numbers.clear();
        }
    }

    pub(super) fn store_sabotaged(&mut self, prepared: Vec<Prepared>) {
        if self.sabotaged(Sabotage::RefusedOutputsStored) {
            for output in prepared {
                let ticket = self.ticket(Purpose::Output { ack: 0, index: 0 });
                let records = records_of(output.letter, Vec::new(), self.bounds.partitions);
                self.out.push(Effect::Publish(ticket, records));
            }
        }
    }

    pub(super) fn settle_sabotaged(&mut self, ack: u64) {
        if self.sabotaged(Sabotage::SettledBeforeOutputs)
            && let Some(storing) = self.storing.remove(&ack)
        {
            self.deliveries.stored(&storing.delivery);
            self.settle_with(&storing.delivery, Verdict::Ack, storing.confirm, None);
        }
    }

    pub(super) fn confirm_sabotaged(&mut self, delivery: &str) {
        let settling = |held: &mut super::deliveries::Held| matches!(held.state, State::Settling { .. });
        if self.sabotaged(Sabotage::SettledEarly) && self.deliveries.get(delivery).is_some_and(settling) {
            self.tell_settled(delivery, None);
        }
    }
}
