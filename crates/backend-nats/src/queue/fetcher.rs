//! The task of a queue's end: fetches what calls wait for, ends leases, keeps
//! long ones alive, and gives back what nobody has taken.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use handbell_protocol::Lane;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    End,
    notes::{self, Note},
    settle::give_back,
    state::Lent,
};
use crate::{
    error::Trouble,
    filters::Wanted,
    layout,
    message::decode_record,
    pull::{Delivery, Pulled, Puller},
};

/// How long to wait for what is there now.
const AT_ONCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// The most that is fetched at a time.
const BATCH: usize = 256;

pub(super) struct Fetcher {
    end: Arc<End>,
    wanted: [Wanted; 2],
}

/// The requests to both lanes.
struct Roads {
    pullers: [Puller; 2],
}

/// The requests are lost; why.
struct Lost(String);

impl Fetcher {
    pub(super) fn new(end: Arc<End>, wanted: [Wanted; 2]) -> Self {
        Self { end, wanted }
    }

    pub(super) async fn run(self, ended: CancellationToken) {
        let closing = self.end.core.closing.clone();
        tokio::select! {
            () = ended.cancelled() => {}
            () = closing.cancelled() => {}
            () = self.fetch() => {}
        }
        self.give_back(true).await;
    }

    /// Fetches for ever; opens the roads anew where they are lost.
    async fn fetch(&self) {
        loop {
            let lost = match self.open().await {
                Ok(roads) => self.travel(roads).await.0,
                Err(trouble) => trouble.to_string(),
            };
            tracing::debug!(why = %lost, queue = %self.end.spec.name, "a queue's requests are made again");
            self.tend().await;
            sleep(PAUSE).await;
        }
    }

    async fn open(&self) -> Result<Roads, Trouble> {
        let core = &self.end.core;
        let consumer = layout::consumer(&self.end.spec.name);
        let [express, regular] = Lane::ALL.map(|lane| Arc::clone(&core.stream(self.end.class(), lane).name));
        Ok(Roads {
            pullers: [
                Puller::new(&core.asker, &express, &consumer).await?,
                Puller::new(&core.asker, &regular, &consumer).await?,
            ],
        })
    }

    async fn travel(&self, mut roads: Roads) -> Lost {
        loop {
            self.tend().await;
            if let Err(lost) = self.fetch_wanted(&mut roads).await {
                return lost;
            }
            let next = self.end.state().next_event();
            let [express, regular] = &mut roads.pullers;
            let pulled = tokio::select! {
                biased;
                pulled = express.next() => (Lane::Express, pulled),
                pulled = regular.next() => (Lane::Regular, pulled),
                () = self.end.work.notified() => continue,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => continue,
            };
            if let Err(lost) = self.take(pulled).await {
                return lost;
            }
        }
    }

    /// What is there now, express first; where there is nothing, one of each
    /// lane is waited for at the server.
    async fn fetch_wanted(&self, roads: &mut Roads) -> Result<(), Lost> {
        for (lane, puller) in Lane::ALL.into_iter().zip(&mut roads.pullers) {
            let missing = self.end.state().missing().min(BATCH);
            if missing > 0 {
                self.fetch_now(lane, puller, missing).await?;
            }
        }
        if self.end.state().missing() > 0 && !self.end.state().has_ready() {
            for puller in &mut roads.pullers {
                if puller.outstanding() == 0 {
                    puller.request(1, 0).await.map_err(lost)?;
                }
            }
        }
        Ok(())
    }

    async fn fetch_now(&self, lane: Lane, puller: &mut Puller, count: usize) -> Result<(), Lost> {
        let request = puller.request_now(count).await.map_err(lost)?;
        let until = Instant::now() + AT_ONCE;
        while puller.is_open(request) {
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, puller.next()).await {
                Ok(pulled) => self.take((lane, pulled)).await?,
                Err(_) => return Err(Lost("the server is silent".into())),
            }
        }
        Ok(())
    }

    async fn take(&self, (lane, pulled): (Lane, Pulled)) -> Result<(), Lost> {
        match pulled {
            Pulled::Message(delivery) => self.receive(lane, *delivery).await.map_err(lost),
            Pulled::Ended => Ok(()),
            Pulled::Lost(why) => Err(Lost(why)),
        }
    }

    async fn receive(&self, lane: Lane, delivery: Delivery) -> Result<(), Trouble> {
        let Delivery { raw, reply, count, .. } = delivery;
        let core = &self.end.core;
        let record = match decode_record(core, self.end.class(), lane, &raw) {
            Ok(record) => record,
            Err(why) => {
                let stream = &core.stream(self.end.class(), lane).name;
                self.end.state().failed = Some(format!("number {} of stream {stream}: {why}", raw.sequence));
                self.end.ready.notify_one();
                return Ok(());
            }
        };
        let wanted = &self.wanted[usize::from(lane == Lane::Regular)];
        let Some(record) = record.filter(|record| wanted.wants(record.position.partition, &record.topic)) else {
            return self.say(&reply, Bytes::from_static(b"+ACK")).await;
        };
        let note = match count {
            0 | 1 => None,
            _ => notes::load(core, &self.end.spec.name, lane, raw.sequence).await?,
        };
        let (attempt, suspect) = Note::judge(note.map(|(note, _)| note), count);
        let note = note.map(|(_, number)| number);
        let lent = Lent { lane, sequence: raw.sequence, reply, count, attempt, suspect, note };
        self.end.state().add(lent, Arc::new(record), Instant::now());
        self.end.ready.notify_one();
        Ok(())
    }

    /// Ends leases, keeps long ones alive, gives back what nobody has taken.
    async fn tend(&self) {
        let now = Instant::now();
        let (ended, progress) = {
            let mut state = self.end.state();
            (state.ended(now), state.progress(now, self.end.ack_wait()))
        };
        for lent in ended {
            // If this is lost, the broker's own wait ends a little later.
            drop(self.say(&lent.reply, give_back(Duration::ZERO)).await);
        }
        for reply in progress {
            drop(self.say(&reply, Bytes::from_static(b"+WPI")).await);
        }
        self.give_back(false).await;
    }

    /// Gives back what nobody has taken, as it was.
    async fn give_back(&self, all: bool) {
        let unwanted = self.end.state().unwanted(Instant::now(), all);
        for ready in unwanted {
            let note = Note::of(&ready.lent, false);
            match notes::store(&self.end.core, &self.end.spec.name, &ready.lent, note).await {
                Ok(()) => drop(self.say(&ready.lent.reply, give_back(Duration::ZERO)).await),
                Err(error) => tracing::debug!(%error, "a record isn't given back; it comes again after its wait"),
            }
        }
    }

    async fn say(&self, reply: &str, word: Bytes) -> Result<(), Trouble> {
        let sent = self.end.core.asker.client().publish(reply.to_owned(), word).await;
        sent.map_err(|error| Trouble::NotSent(error.to_string()))
    }
}

fn lost(trouble: Trouble) -> Lost {
    Lost(trouble.to_string())
}
