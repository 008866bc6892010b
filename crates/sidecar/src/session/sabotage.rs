//! Planted bugs: what the simulation must catch. No build that runs has them.

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

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::PublishedEarly,
        Self::DoubtIsSuccess,
        Self::ResumeForgotten,
        Self::GoBackIgnored,
        Self::WindowIgnored,
        Self::CreditIgnored,
        Self::SettledBeforeOutputs,
        Self::OutputsRenumbered,
        Self::RefusedOutputsStored,
        Self::OldDeliveriesAccepted,
        Self::SettledTwice,
        Self::DeliveredBeforeSubscribed,
        Self::NotToldAgain,
        Self::SecondReply,
        Self::SettledEarly,
    ];
}
