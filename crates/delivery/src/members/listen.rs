//! The task that hears what members say.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::{BackendError, Class, Record, Start, Tail, TailItem, TailSpec};
use handbell_protocol::{Lane, Timestamp};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::{
    beat::{Beat, Handover, Signal, topic},
    shell::Shared,
    speak::{self, PARTITION},
};
use crate::backoff::Backoff;

/// How many words are taken at a time.
const BATCH: usize = 1_024;

pub(super) struct Listener {
    shared: Arc<Shared>,
    tail: Box<dyn Tail>,
    backoff: Backoff,
    /// When it last had a turn: after a long pause of the process, silence
    /// proves nothing.
    turn: Instant,
}

impl Listener {
    /// Hears the last lease, so that whoever is there is known before this
    /// member claims anything.
    pub(super) async fn open(shared: Arc<Shared>) -> Result<Self, BackendError> {
        let tail = open(&shared).await?;
        let mut listener = Self { shared, tail, backoff: Backoff::new("hear other members"), turn: Instant::now() };
        loop {
            match listener.tail.next(BATCH).await? {
                TailItem::Level => return Ok(listener),
                TailItem::Records(records) => listener.hear(&records, false),
                TailItem::Trimmed(_) => {}
            }
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                item = self.tail.next(BATCH) => match item {
                    Ok(item) => self.take(item),
                    Err(error) => self.failed(error).await,
                },
                () = sleep_until(deadline) => self.expire(),
            }
            self.turn = Instant::now();
        }
    }

    fn take(&mut self, item: TailItem) {
        if self.backoff.is_failing() || self.was_paused() {
            self.shared.roster().forgive(Instant::now().into_std());
        }
        self.backoff.worked();
        if let TailItem::Records(records) = item {
            self.hear(&records, true);
        }
    }

    /// A tail that has ended is opened anew; what was said meanwhile and is
    /// younger than a lease is heard again, which changes nothing.
    async fn failed(&mut self, error: BackendError) {
        self.backoff.wait(&error).await;
        if error.is_retryable() {
            return;
        }
        match open(&self.shared).await {
            Ok(tail) => self.tail = tail,
            Err(error) => self.backoff.wait(&error).await,
        }
    }

    fn hear(&self, records: &[Arc<Record>], words: bool) {
        let now = Instant::now().into_std();
        let mut changed = false;
        for record in records {
            match record.topic.as_str() {
                topic::HEARTBEAT if speak::is_by(record, &self.shared.id) => {}
                topic::HEARTBEAT => {
                    changed |= read::<Beat>(record).is_some_and(|beat| self.shared.roster().hear(beat, now));
                }
                topic::SIGNAL if words => self.signal(record),
                topic::HANDOVER if words => self.hand_over(record),
                _ => {}
            }
        }
        if changed {
            self.shared.show();
        }
    }

    fn signal(&self, record: &Record) {
        if let Some(signal) = read::<Signal>(record) {
            // Without a reader there is nobody to tell.
            drop(self.shared.signals.send(Arc::new(signal)));
        }
    }

    fn hand_over(&self, record: &Record) {
        if let Some(word) = read::<Handover>(record)
            && word.to == self.shared.id
        {
            self.shared.route(word);
        }
    }

    fn expire(&self) {
        let now = Instant::now().into_std();
        if self.backoff.is_failing() || self.was_paused() {
            self.shared.roster().forgive(now);
        }
        let changed = self.shared.roster().expire(now);
        if changed {
            self.shared.show();
        }
    }

    fn was_paused(&self) -> bool {
        self.turn.elapsed() > self.shared.lease * 2
    }

    /// The next lease's end; without any, a turn in time, so that a pause of
    /// the process is noticed.
    fn deadline(&self) -> Instant {
        let next = self.shared.roster().next_deadline().map(Instant::from_std);
        next.unwrap_or_else(|| Instant::now() + self.shared.lease.max(Duration::from_millis(10)))
    }
}

async fn open(shared: &Shared) -> Result<Box<dyn Tail>, BackendError> {
    let since = Timestamp::now().before(shared.lease);
    let partitions = BTreeMap::from([(PARTITION, Start::Time(since))]);
    shared.backend.tail(TailSpec { class: Class::Members, lane: Lane::Regular, topics: vec![], partitions }).await
}

fn read<T: DeserializeOwned>(record: &Record) -> Option<T> {
    match serde_json::from_slice(record.envelope.payload.as_bytes()) {
        Ok(word) => Some(word),
        Err(error) => {
            tracing::debug!(%error, topic = %record.topic, "a member's word can't be read; another build's?");
            None
        }
    }
}
