//! The task of one shared topic: waits until it is this member's turn, then
//! forwards until it is somebody else's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use handbell_backend::{
    Backend, BackendError, Class, Fault, Outgoing, Partition, PublishError, Record, Start, TailItem, TailSpec,
};
use handbell_protocol::{Lane, Topic};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    place::Place,
    records::{buried, forwarded, origin},
};
use crate::{View, backoff::Backoff, members::Members, publishing::publish, tailing::SteadyTail};

/// The most that is forwarded at a time.
const BATCH: usize = 256;
/// How long the place may be behind what is forwarded.
const STORED_EVERY: Duration = Duration::from_millis(250);
/// How much the clocks of a broker's servers may differ.
const SKEW: Duration = Duration::from_secs(60);

/// Forwards a topic whenever the members choose this one, until `ended`.
pub(crate) fn spawn(backend: Arc<dyn Backend>, members: Arc<Members>, topic: Topic, ended: &CancellationToken) {
    let forwarder = Forwarder { backend, members, topic };
    tokio::spawn(ended.clone().run_until_cancelled_owned(forwarder.run()));
}

struct Forwarder {
    backend: Arc<dyn Backend>,
    members: Arc<Members>,
    topic: Topic,
}

/// One turn of this member.
struct Turn<'a> {
    backend: &'a Arc<dyn Backend>,
    topic: &'a Topic,
    /// How long the place counts as ours without having been stored again.
    sure: Duration,
    place: Place,
    stored: Instant,
    /// The place is behind.
    dirty: bool,
    /// What the one before has forwarded beyond the place.
    done: BTreeSet<u64>,
}

impl Forwarder {
    async fn run(self) {
        let mut view = self.members.watch();
        let mut backoff = Backoff::new("forward a shared topic");
        loop {
            if !self.becomes(&mut view, true).await {
                return;
            }
            tokio::select! {
                biased;
                others = self.becomes(&mut view, false) => {
                    if !others {
                        return;
                    }
                }
                error = self.take_turn() => match error {
                    Some(error) if error.fault == Fault::Closed => return,
                    Some(error) => backoff.wait(&error).await,
                    // Somebody else sees the members otherwise; the views will agree.
                    None => tokio::time::sleep(self.members.lease() / 4).await,
                },
            }
        }
    }

    /// Waits until it is, or isn't, this member's turn; `false` at the end.
    async fn becomes(&self, view: &mut watch::Receiver<Arc<View>>, ours: bool) -> bool {
        view.wait_for(|view| self.is_ours(view) == ours).await.is_ok()
    }

    fn is_ours(&self, view: &View) -> bool {
        view.forwarder(&self.topic) == Some(self.members.id())
    }

    /// Forwards until it is fenced (`None`) or fails.
    async fn take_turn(&self) -> Option<BackendError> {
        match self.claimed().await {
            Ok(Some(turn)) => turn.forward().await.err(),
            Ok(None) => None,
            Err(error) => Some(error),
        }
    }

    async fn claimed(&self) -> Result<Option<Turn<'_>>, BackendError> {
        let id = self.members.id().clone();
        let Some(place) = Place::claim(&*self.backend, &self.topic, id).await? else { return Ok(None) };
        let mut turn = Turn {
            backend: &self.backend,
            topic: &self.topic,
            sure: self.members.lease() / 2,
            place,
            stored: Instant::now(),
            dirty: false,
            done: BTreeSet::new(),
        };
        if turn.place.taken_over {
            turn.look_back().await?;
        }
        tracing::info!(topic = %self.topic, "forwarding a shared topic");
        Ok(Some(turn))
    }
}

impl Turn<'_> {
    /// Finds what was forwarded and isn't in the place yet: copies are stored
    /// after what they are copies of.
    async fn look_back(&mut self) -> Result<(), BackendError> {
        let from = match &self.place.after {
            Some(after) => Start::Time(after.time.before(SKEW)),
            None => Start::Oldest,
        };
        let partitions: BTreeMap<Partition, Start> =
            self.backend.capabilities().partitions.iter().map(|partition| (partition, from.clone())).collect();
        for lane in Lane::ALL {
            let topics = vec![self.topic.into()];
            let spec = TailSpec { class: Class::Ev, lane, topics, partitions: partitions.clone() };
            let mut tail = self.backend.tail(spec).await?;
            loop {
                match tail.next(BATCH).await? {
                    TailItem::Records(records) => records.iter().for_each(|record| self.note(record)),
                    TailItem::Trimmed(_) => {}
                    TailItem::Level => break,
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, record: &Record) {
        let Some(origin) = origin(record).filter(|origin| *origin.log == *self.topic.as_str()) else { return };
        let beyond = match &self.place.after {
            Some(after) => origin.comparable(after) && origin.offset > after.offset,
            None => true,
        };
        if beyond {
            self.done.insert(origin.offset);
        }
    }

    /// Forwards until somebody else has the place.
    async fn forward(mut self) -> Result<(), BackendError> {
        let partitions = [(Partition(0), self.place.start())].into();
        let spec = TailSpec { class: Class::Shared, lane: Lane::Regular, topics: vec![self.topic.into()], partitions };
        let mut tail = SteadyTail::open(Arc::clone(self.backend), spec).await?;
        loop {
            let due = self.stored + STORED_EVERY;
            let item = tokio::select! {
                biased;
                () = sleep_until(due), if self.dirty => {
                    if !self.keep().await? {
                        return Ok(());
                    }
                    continue;
                }
                item = tail.next(BATCH) => item,
            };
            match item {
                TailItem::Records(records) => {
                    // One that was paused may have been replaced meanwhile.
                    if self.stored.elapsed() > self.sure && !self.keep().await? {
                        return Ok(());
                    }
                    self.forward_all(&records).await;
                    self.place.after = records.last().map(|record| record.position.clone());
                    self.dirty = true;
                }
                TailItem::Trimmed(trimmed) => {
                    tracing::error!(topic = %self.topic, from = %trimmed.from, to = %trimmed.to,
                        "retention removed events of a shared topic before they were forwarded");
                }
                TailItem::Level => {}
            }
        }
    }

    async fn keep(&mut self) -> Result<bool, BackendError> {
        let kept = self.place.keep(&**self.backend).await?;
        (self.stored, self.dirty) = (Instant::now(), false);
        Ok(kept)
    }

    /// Forwards records in their order, however long it takes.
    async fn forward_all(&mut self, records: &[Arc<Record>]) {
        let partitions = self.backend.capabilities().partitions;
        let mut left: Vec<(&Record, Outgoing)> = records
            .iter()
            .filter(|record| !self.done.remove(&record.position.offset))
            .map(|record| (&**record, forwarded(record, partitions)))
            .collect();
        let mut backoff = Backoff::new("forward events of a shared topic");
        while !left.is_empty() {
            let batch: Vec<Outgoing> = left.iter().map(|(_, out)| out.clone()).collect();
            let results = publish(&**self.backend, batch).await;
            // What comes behind a failure is sent again too, so that a key keeps its order.
            let through = results.iter().position(|result| result.as_ref().is_err_and(PublishError::is_retryable));
            for (n, result) in results[..through.unwrap_or(results.len())].iter().enumerate() {
                if let Err(why) = result {
                    self.bury(left[n].0, why).await;
                }
            }
            left.drain(..through.unwrap_or(results.len()));
            match through.and_then(|n| results.into_iter().nth(n)) {
                Some(Err(error)) => backoff.wait(&error).await,
                _ => backoff.worked(),
            }
        }
    }

    async fn bury(&self, record: &Record, why: &PublishError) {
        tracing::error!(topic = %self.topic, position = %record.position, %why, "a shared event becomes a dead letter");
        let mut backoff = Backoff::new("store a dead letter");
        loop {
            match publish(&**self.backend, vec![buried(record, why)]).await.pop() {
                Some(Err(error)) if error.is_retryable() => backoff.wait(&error).await,
                Some(Err(error)) => {
                    return tracing::error!(position = %record.position, %error, "its dead letter is refused too");
                }
                _ => return,
            }
        }
    }
}
