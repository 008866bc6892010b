//! The task of a tail: where it is in its stream, and what is missing there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::{BackendError, Class, Fault, Partition, Record, Trimmed};
use handbell_protocol::Timestamp;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{DOING, Item, life::Life};
use crate::{
    api::instant,
    core::Core,
    error::Trouble,
    filters::Wanted,
    message::decode_record,
    pull::{Delivery, Pulled},
    starts::{Begin, Place},
};

/// The most records that are handed over at a time.
const BATCH: usize = 256;
/// How often a quiet tail compares its place with the stream's beginning.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before another try.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a consumer's life, or the task, is over.
enum End {
    /// Make another consumer.
    Lost(String),
    /// Nobody reads any more.
    Deserted,
    /// It can't go on.
    Failed(BackendError),
}

type Ended<T> = Result<T, End>;

/// The task's state.
pub(super) struct Reader {
    core: Arc<Core>,
    place: Place,
    wanted: Wanted,
    begins: BTreeMap<Partition, Begin>,
    /// All up to here is handed over, or known to be none of ours.
    cursor: u64,
    level: bool,
    /// It had to wait for whoever reads.
    blocked: bool,
    items: mpsc::Sender<Item>,
    batch: Vec<Arc<Record>>,
}

impl Reader {
    pub(super) fn new(
        core: Arc<Core>,
        place: Place,
        wanted: Wanted,
        begins: BTreeMap<Partition, Begin>,
        items: mpsc::Sender<Item>,
    ) -> Self {
        let cursor = begins.values().map(|begin| begin.after).min().unwrap_or(place.last);
        Self { core, place, wanted, begins, cursor, level: false, blocked: false, items, batch: Vec::new() }
    }

    pub(super) async fn run(mut self, ended: CancellationToken) {
        let mut consumer = None;
        let end = ended.run_until_cancelled(self.read(&mut consumer)).await;
        if let Some(End::Failed(error)) = end {
            drop(self.items.send(Item::Failed(error)).await);
        }
        self.forget(consumer).await;
    }

    /// Reads until the task is over; one consumer after the other.
    async fn read(&mut self, consumer: &mut Option<String>) -> End {
        if let Err(end) = self.tell_first_gaps().await {
            return end;
        }
        let mut pause = PAUSE;
        loop {
            let before = self.cursor;
            match self.live(consumer).await {
                Err(End::Lost(why)) => tracing::debug!(%why, stream = %self.name(), "a tail begins again where it was"),
                Err(end) => return end,
                Ok(()) => {}
            }
            self.forget(consumer.take()).await;
            pause = if self.cursor > before { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            sleep(pause).await;
        }
    }

    async fn tell_first_gaps(&mut self) -> Ended<()> {
        let gaps: Vec<_> = self.begins.iter().filter_map(|(p, begin)| Some((*p, begin.gap?))).collect();
        for (partition, after) in gaps {
            self.tell_gap(partition, after, self.place.first, Timestamp::default()).await?;
        }
        Ok(())
    }

    /// One consumer's life.
    async fn live(&mut self, consumer: &mut Option<String>) -> Ended<()> {
        self.compare(true).await?;
        let name = Arc::clone(self.name());
        let life = Life::begin(&self.core, &name, &self.wanted.subjects, self.cursor).await;
        let mut life = life.map_err(troubled)?;
        *consumer = Some(life.name.clone());
        if life.pending == 0 {
            self.tell_level().await?;
        }
        let mut look = Instant::now() + LOOK;
        loop {
            life.ask(&mut self.blocked).await.map_err(troubled)?;
            let pulled = match life.puller.ready() {
                Some(pulled) => pulled,
                None => {
                    self.flush().await?;
                    tokio::select! {
                        biased;
                        pulled = life.puller.next() => pulled,
                        () = sleep_until(look) => {
                            self.look(&mut life).await?;
                            look = Instant::now() + LOOK;
                            continue;
                        }
                    }
                }
            };
            match pulled {
                Pulled::Message(delivery) => self.take(&mut life, *delivery).await?,
                Pulled::Ended => {}
                Pulled::Lost(why) => return Err(End::Lost(why)),
            }
        }
    }

    async fn take(&mut self, life: &mut Life, delivery: Delivery) -> Ended<()> {
        let sequence = delivery.raw.sequence;
        if delivery.consumer_sequence != life.delivered + 1 {
            return Err(End::Lost("a delivery is missing".into()));
        }
        life.delivered += 1;
        if life.is_doubtful() && sequence > self.cursor + 1 {
            self.compare(false).await?;
        }
        self.cursor = self.cursor.max(sequence);
        if let Some(record) = self.record(&delivery)? {
            self.batch.push(Arc::new(record));
        }
        if self.batch.len() >= BATCH {
            self.flush().await?;
        }
        if !self.level && (delivery.pending == 0 || sequence >= self.place.last) {
            self.flush().await?;
            self.tell_level().await?;
        }
        Ok(())
    }

    /// The record, if it is one that is wanted.
    fn record(&self, delivery: &Delivery) -> Ended<Option<Record>> {
        let (raw, place) = (&delivery.raw, &self.place);
        let unreadable = |why: String| {
            let what = format!("number {} of stream {}: {why}", raw.sequence, self.name());
            End::Failed(BackendError::new(Fault::Corrupt, DOING, what))
        };
        let record = decode_record(&place.stream, raw).map_err(unreadable)?;
        Ok(record.filter(|record| {
            let begin = self.begins.get(&record.position.partition);
            begin
                .is_some_and(|begin| raw.sequence > begin.after && begin.not_before.is_none_or(|time| raw.time >= time))
                && self.wanted.wants(record.position.partition, &record.topic)
        }))
    }

    /// A quiet moment: is it level, and has retention moved on? While the
    /// consumer waits for more it would have delivered what was ours, so what
    /// was removed meanwhile was read or never wanted.
    async fn look(&mut self, life: &mut Life) -> Ended<()> {
        let stream = Arc::clone(self.name());
        let Ok(info) = self.core.look(&self.place.stream).await else { return Ok(()) };
        let last = info.state.last_seq;
        if self.level && last <= self.cursor {
            return Ok(());
        }
        let Ok(consumer) = self.core.asker.consumer_info(&stream, &life.name).await else { return Ok(()) };
        if !life.is_through(&consumer) {
            return Ok(());
        }
        if life.may_miss_something() {
            self.compare(false).await?;
        }
        self.cursor = self.cursor.max(last);
        self.tell_level().await
    }

    /// Compares the place with what the stream still has: what is missing is
    /// told, and a stream that went back or was made again ends the tail.
    async fn compare(&mut self, rebuilt: bool) -> Ended<()> {
        let info = self.core.look(&self.place.stream).await.map_err(troubled)?;
        let now = Place::new(&self.place.stream, &info);
        if now.incarnation != self.place.incarnation || (rebuilt && now.last < self.cursor) {
            let why = format!("stream {} was made again, or put back to an older copy", self.name());
            // Heartbeats are in memory only: a server that was away has none.
            if self.place.stream.class != Class::Members {
                tracing::error!("{why}; what was read from it before may be missing");
            }
            return Err(End::Failed(BackendError::new(Fault::Corrupt, DOING, why)));
        }
        if now.first > self.cursor + 1 {
            self.flush().await?;
            let time = instant(&info.state.first_ts);
            let partitions: Vec<_> = self.begins.iter().map(|(p, begin)| (*p, begin.after)).collect();
            for (partition, after) in partitions {
                if now.first > after + 1 {
                    let after = after.max(self.cursor);
                    self.tell_gap(partition, after, now.first, time).await?;
                }
            }
            self.cursor = now.first - 1;
        }
        Ok(())
    }

    async fn tell_gap(&mut self, partition: Partition, after: u64, to: u64, time: Timestamp) -> Ended<()> {
        let position = |offset| self.place.stream.position(partition, offset, time);
        let trimmed = Trimmed { from: position(after + 1), to: position(to), count: None };
        self.hand_over(Item::Gap(trimmed)).await
    }

    async fn tell_level(&mut self) -> Ended<()> {
        match std::mem::replace(&mut self.level, true) {
            true => Ok(()),
            false => self.hand_over(Item::Level).await,
        }
    }

    async fn flush(&mut self) -> Ended<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut self.batch);
        self.hand_over(Item::Records(records)).await
    }

    async fn hand_over(&mut self, item: Item) -> Ended<()> {
        let item = match self.items.try_send(item) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(End::Deserted),
            Err(TrySendError::Full(item)) => item,
        };
        self.blocked = true;
        self.items.send(item).await.map_err(|_| End::Deserted)
    }

    async fn forget(&self, consumer: Option<String>) {
        if let Some(consumer) = consumer
            && self.core.asker.standing().borrow().connected
        {
            self.core.asker.drop_consumer(self.name(), &consumer).await;
        }
    }

    fn name(&self) -> &Arc<str> {
        &self.place.stream.name
    }
}

/// What can't get better ends the tail; all else is tried again.
fn troubled(trouble: Trouble) -> End {
    let error = trouble.reading(DOING);
    match error.is_retryable() {
        true => End::Lost(error.why),
        false => End::Failed(error),
    }
}
