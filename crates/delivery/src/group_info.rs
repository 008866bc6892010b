//! Groups as operators see them.

use std::time::Duration;

use handbell_protocol::{
    Segment, Timestamp, TopicPattern,
    frame::{From, Order, RetryPolicy},
};

use crate::MemberId;

/// A durable group: its stored settings and where it stands.
#[derive(Clone, Debug)]
pub struct GroupInfo {
    /// Its name.
    pub group: Segment,
    /// Its topics.
    pub topics: Vec<TopicPattern>,
    /// Its filter's source; empty is none.
    pub filter: String,
    /// Whether it keeps order.
    pub order: Order,
    /// How long a delivery is lent without a sign of life.
    pub ack_wait: Duration,
    /// How failures are tried again.
    pub retry: RetryPolicy,
    /// Where it was told to begin.
    pub from: From,
    /// The members that have consumers of it now.
    pub members: Vec<MemberId>,
    /// How many events of its topics it has not passed; `None` where the
    /// backend's queue doesn't tell.
    pub lag: Option<u64>,
    /// How many deliveries were unsettled when its cursors were last stored;
    /// of a group without order, those of this member.
    pub unsettled: u64,
    /// When the oldest unsettled event was stored.
    pub oldest: Option<Timestamp>,
}
