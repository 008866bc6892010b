//! Where a reading begins: a [`Start`] as a number of its stream.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use handbell_backend::{Incarnation, Partition, Position, Start};
use handbell_protocol::Timestamp;
use serde_json::json;

use crate::{
    api::{StreamInfo, instant},
    core::Core,
    error::Trouble,
    stream::{Stream, incarnation},
};

/// Where the reading of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    /// Behind this number.
    pub(crate) after: u64,
    /// Nothing that was stored before this instant.
    pub(crate) not_before: Option<Timestamp>,
    /// Retention may have removed some from behind this number.
    pub(crate) gap: Option<u64>,
}

/// A stream as it was when a reading was opened.
pub(crate) struct Place {
    pub(crate) stream: Arc<Stream>,
    pub(crate) incarnation: Incarnation,
    /// The first number that is there.
    pub(crate) first: u64,
    first_time: Timestamp,
    /// The last that was given.
    pub(crate) last: u64,
}

impl Place {
    pub(crate) fn new(stream: &Arc<Stream>, info: &StreamInfo) -> Self {
        let state = &info.state;
        let first_time = instant(&state.first_ts);
        // A stream that retention has emptied begins behind its end.
        let first = state.first_seq.max(1);
        let (stream, incarnation) = (Arc::clone(stream), incarnation(info));
        Self { stream, incarnation, first, first_time, last: state.last_seq }
    }

    /// Resolves all starts of a reading.
    pub(crate) async fn begins(
        &self,
        core: &Core,
        partitions: &BTreeMap<Partition, Start>,
    ) -> Result<BTreeMap<Partition, Begin>, Trouble> {
        let mut begins = BTreeMap::new();
        let mut known = HashMap::new();
        for (partition, start) in partitions {
            let begin = match self.at_once(Some(*partition), start) {
                Ok(begin) => begin,
                Err(time) => match known.get(&time) {
                    Some(begin) => *begin,
                    None => {
                        let begin = self.since(core, time).await?;
                        known.insert(time, begin);
                        begin
                    }
                },
            };
            begins.insert(*partition, begin);
        }
        Ok(begins)
    }

    /// Where a queue begins: in all partitions at one place.
    pub(crate) async fn begin(&self, core: &Core, start: &Start) -> Result<Begin, Trouble> {
        match self.at_once(None, start) {
            Ok(begin) => Ok(begin),
            Err(time) => self.since(core, time).await,
        }
    }

    /// A start without the broker's help, or the instant that must be looked
    /// up. Without a partition a position of any counts.
    fn at_once(&self, partition: Option<Partition>, start: &Start) -> Result<Begin, Timestamp> {
        let begin = |after| Begin { after, not_before: None, gap: None };
        match start {
            Start::Oldest => Ok(begin(self.first - 1)),
            Start::New => Ok(begin(self.last)),
            Start::Time(time) => Err(*time),
            Start::At(position) => self.behind(partition, position, position.offset.saturating_sub(1)),
            Start::After(position) => self.behind(partition, position, position.offset),
        }
    }

    /// A position counts as its time where it isn't one of this row, or lies
    /// beyond the end: then the log has gone back to an older copy.
    fn behind(&self, partition: Option<Partition>, position: &Position, after: u64) -> Result<Begin, Timestamp> {
        let ours = position.incarnation == self.incarnation
            && self.stream.has(position)
            && partition.is_none_or(|partition| partition == position.partition)
            && after <= self.last;
        match ours {
            true if after + 1 < self.first => Ok(Begin { after: self.first - 1, not_before: None, gap: Some(after) }),
            true => Ok(Begin { after, not_before: None, gap: None }),
            false => Err(position.time),
        }
    }

    /// The broker finds the first of an instant when a consumer is made there.
    async fn since(&self, core: &Core, time: Timestamp) -> Result<Begin, Trouble> {
        let removed = self.first > 1 && time < self.first_time;
        if time <= self.first_time || self.last == 0 {
            return Ok(Begin { after: self.first - 1, not_before: Some(time), gap: removed.then_some(0) });
        }
        let stream = &self.stream.name;
        let name = core.fresh_name();
        let config = json!({
            "name": name, "deliver_policy": "by_start_time", "opt_start_time": time.to_string(),
            "ack_policy": "none", "replay_policy": "instant", "mem_storage": true, "num_replicas": 1,
            "inactive_threshold": 5_000_000_000_u64, "headers_only": true,
        });
        let info = core.asker.make_consumer(stream, &name, &config).await?;
        core.asker.drop_consumer(stream, &name).await;
        Ok(Begin { after: info.delivered.stream_seq.min(self.last), not_before: Some(time), gap: None })
    }
}
