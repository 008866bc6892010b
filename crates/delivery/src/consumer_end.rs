//! A consumer's end: what a session says to the runner behind it.

use std::{fmt, sync::Arc, time::Duration};

use crate::{Leave, Token, Verdict};

/// What every runner does for its consumers. All calls return at once.
pub(crate) trait End: Send + Sync {
    fn credit(&self, ceiling: u32);
    fn settle(&self, verdicts: Vec<(Token, Verdict)>);
    fn extend(&self, token: Token, lease: Duration);
    fn connected(&self, connected: bool);
    fn leave(&self, how: Leave);
}

/// A consumer of a group, of a fan-out or of direct work. No call waits;
/// answers come as [`crate::ConsumerEvent`]s in its mailbox. Dropping it means
/// [`Leave::Lost`].
pub struct Consumer {
    end: Option<Arc<dyn End>>,
}

impl Consumer {
    pub(crate) fn new(end: Arc<dyn End>) -> Self {
        Self { end: Some(end) }
    }

    fn end(&self) -> &dyn End {
        self.end.as_deref().expect("the end is taken only when the consumer is consumed")
    }

    /// Sets how many deliveries may be unsettled at a time; at most
    /// [`crate::Mailbox::MAX_OUTSTANDING`] count. A lower one takes nothing back.
    pub fn credit(&self, ceiling: u32) {
        self.end().credit(ceiling);
    }

    /// Gives verdicts; each is answered by `Settled` once it is durable, or by `Gone`.
    pub fn settle(&self, verdicts: Vec<(Token, Verdict)>) {
        self.end().settle(verdicts);
    }

    /// Lets the lease end `lease` from now; answered by nothing, or by `Gone`.
    pub fn extend(&self, token: Token, lease: Duration) {
        self.end().extend(token, lease);
    }

    /// The socket is lost: leases run out `ack_wait` from now, never later
    /// than before, unless they were extended.
    pub fn disconnected(&self) {
        self.end().connected(false);
    }

    /// The socket is back: leases run until `max_processing` after the delivery again.
    pub fn connected(&self) {
        self.end().connected(true);
    }

    /// Leaves. What was settled before is still answered; what is unsettled
    /// is given back as `how` says.
    pub fn leave(mut self, how: Leave) {
        if let Some(end) = self.end.take() {
            end.leave(how);
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.leave(Leave::Lost);
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumer")
    }
}
