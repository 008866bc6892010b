//! What a member has counted since it began.

/// Counts, ever growing. Plain numbers: the runner exports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records handed out, repeats included.
    pub delivered: u64,
    /// Of these, those with an attempt above 1.
    pub redelivered: u64,
    /// Verdicts `Ack` that became durable here.
    pub acked: u64,
    /// Records that the group's filter passed over.
    pub filtered: u64,
    /// Records dropped because their expiry had passed.
    pub expired: u64,
    /// Notifications dropped because they failed.
    pub notifications_dropped: u64,
    /// Dead letters that were stored.
    pub dead_lettered: u64,
    /// Records stored in the retry channel.
    pub retries_written: u64,
    /// Records that had been read before and came again.
    pub repeats: u64,
    /// Unsettled records that retention, or a reset log, had removed.
    pub lost: u64,
    /// Stores that were fenced.
    pub fenced: u64,
    /// Verdicts without effect.
    pub gone: u64,
    /// Times that retention had removed records before they were read.
    pub gaps: u64,
}
