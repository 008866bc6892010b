//! One consumer of a tail, from its making to its loss.

use std::{collections::VecDeque, time::Duration};

use serde_json::json;

use crate::{api::ConsumerInfo, core::Core, error::Trouble, pull::Puller};

/// How many messages are asked for at a time.
const BATCH: usize = 256;
/// And how many bytes of them.
const BATCH_BYTES: usize = 4 * 1_024 * 1_024;
/// How long a request waits at the server.
const WAIT: Duration = Duration::from_secs(30);
/// When a server forgets a consumer that nobody pulls from, in nanoseconds.
const FORGOTTEN: u64 = 60_000_000_000;

/// A consumer that is read from.
pub(super) struct Life {
    pub(super) name: String,
    pub(super) puller: Puller,
    /// How many deliveries have come; the next must be the next one.
    pub(super) delivered: u64,
    /// How many messages it had when it was made.
    pub(super) pending: u64,
    /// Deliveries before which nothing may have been asked for for a while, so
    /// that retention may have removed what this consumer would have delivered.
    doubtful: VecDeque<u64>,
}

impl Life {
    /// Makes a consumer that begins behind `after`.
    pub(super) async fn begin(core: &Core, stream: &str, subjects: &[String], after: u64) -> Result<Self, Trouble> {
        let name = core.fresh_name();
        let config = json!({
            "name": name, "deliver_policy": "by_start_sequence", "opt_start_seq": after + 1,
            "ack_policy": "none", "replay_policy": "instant", "mem_storage": true, "num_replicas": 1,
            "inactive_threshold": FORGOTTEN, "filter_subjects": subjects,
        });
        let info = core.asker.make_consumer(stream, &name, &config).await?;
        let puller = Puller::new(&core.asker, stream, &name).await?;
        Ok(Self { name, puller, delivered: 0, pending: info.num_pending, doubtful: VecDeque::new() })
    }

    /// Asks for more where little is under way. `blocked` says that the task
    /// had to wait for its reader since it asked last.
    pub(super) async fn ask(&mut self, blocked: &mut bool) -> Result<(), Trouble> {
        let outstanding = self.puller.outstanding();
        if outstanding > BATCH / 2 {
            return Ok(());
        }
        if std::mem::take(blocked) || (outstanding == 0 && self.delivered > 0) {
            self.doubtful.push_back(self.delivered + outstanding as u64 + 1);
        }
        self.puller.request(BATCH, BATCH_BYTES, WAIT).await
    }

    /// Whether something may have been removed before the last delivery.
    pub(super) fn is_doubtful(&mut self) -> bool {
        let mut doubtful = false;
        while self.doubtful.pop_front_if(|at| *at <= self.delivered).is_some() {
            doubtful = true;
        }
        doubtful
    }

    /// Whether something may have been removed before the next delivery.
    pub(super) fn may_miss_something(&mut self) -> bool {
        !std::mem::take(&mut self.doubtful).is_empty()
    }

    /// Whether all that the consumer has was delivered and has come.
    pub(super) fn is_through(&self, info: &ConsumerInfo) -> bool {
        info.num_pending == 0 && info.delivered.consumer_seq == self.delivered
    }
}
