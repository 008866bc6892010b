//! The task of a queue's end: fetches what calls wait for, ends leases, keeps
//! long ones alive, and gives back what nobody has taken.

use std::{pin::pin, sync::Arc, time::Duration};

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
/// How long a request for the next record waits at the server.
const WAIT: Duration = Duration::from_secs(10);
/// The most that is fetched at a time.
const BATCH: usize = 256;

pub(super) struct Fetcher {
    end: Arc<End>,
    wanted: [Wanted; 2],
}

/// The requests to both lanes.
struct Roads {
    pullers: [Puller; 2],
    /// A delivery that is being received.
    taken: Option<(Lane, Delivery)>,
    /// The last requests for what is there at once.
    asked: [Option<u64>; 2],
}

/// The requests are lost; why.
struct Lost(String);

impl Fetcher {
    pub(super) fn new(end: Arc<End>, wanted: [Wanted; 2]) -> Self {
        Self { end, wanted }
    }

    /// Runs until the end is dropped or the backend is closed; then what is on
    /// its way is waited for and given back, as it was.
    pub(super) async fn run(self, ended: CancellationToken) {
        let closing = self.end.core.closing.clone();
        let over = async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = closing.cancelled() => {}
            }
        };
        let mut over = pin!(over);
        loop {
            let mut roads = None;
            let lost = tokio::select! {
                biased;
                () = &mut over => None,
                lost = self.fetch(&mut roads) => Some(lost.0),
            };
            let Some(why) = lost else {
                // What is here first: others may take it.
                self.give_back(true).await;
                self.linger(&mut roads).await;
                self.close(roads).await;
                return self.give_back(true).await;
            };
            self.close(roads).await;
            tracing::debug!(%why, queue = %self.end.spec.name, "a queue's requests are made again");
            self.tend().await;
            sleep(PAUSE).await;
        }
    }

    /// Opens the roads and fetches until they are lost. When dropped, what has
    /// come and wasn't received yet stands in `roads`.
    async fn fetch(&self, roads: &mut Option<Roads>) -> Lost {
        match self.open().await {
            Ok(open) => self.travel(roads.insert(open)).await,
            Err(trouble) => lost(trouble),
        }
    }

    /// Requests that wait at the server can't be taken back: what still comes
    /// for them is given back at once. A server that finds nobody listening any
    /// more would count it as delivered.
    async fn linger(&self, roads: &mut Option<Roads>) {
        let Some(roads) = roads else { return };
        // What was being received when the end came goes first: who waits for
        // more would keep it.
        if let Some((lane, delivery)) = &roads.taken {
            if self.receive(*lane, delivery).await.is_err() {
                return;
            }
            roads.taken = None;
            self.give_back(true).await;
        }
        while roads.pullers.iter().any(|puller| puller.outstanding() > 0) {
            let [express, regular] = &mut roads.pullers;
            let pulled = tokio::select! {
                biased;
                () = self.end.core.closing.cancelled() => return,
                pulled = express.next() => (Lane::Express, pulled),
                pulled = regular.next() => (Lane::Regular, pulled),
            };
            if self.take(&mut roads.taken, pulled).await.is_err() {
                return;
            }
            self.give_back(true).await;
        }
    }

    async fn close(&self, roads: Option<Roads>) {
        let Some(mut roads) = roads else { return };
        let [express, regular] = &mut roads.pullers;
        let (express, regular) = tokio::join!(express.close(), regular.close());
        let taken = roads.taken.take().into_iter();
        let rest = express.into_iter().map(|delivery| (Lane::Express, delivery));
        let rest = taken.chain(rest).chain(regular.into_iter().map(|delivery| (Lane::Regular, delivery)));
        for (lane, delivery) in rest {
            if let Err(error) = self.receive(lane, &delivery).await {
                tracing::debug!(%error, "a record comes again after the broker's wait");
            }
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
            taken: None,
            asked: [None; 2],
        })
    }

    async fn travel(&self, roads: &mut Roads) -> Lost {
        loop {
            self.tend().await;
            if let Err(lost) = self.fetch_wanted(roads).await {
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
            if let Err(lost) = self.take(&mut roads.taken, pulled).await {
                return lost;
            }
        }
    }

    /// What is there now, express first; where there is nothing, one of each
    /// lane is waited for at the server.
    async fn fetch_wanted(&self, roads: &mut Roads) -> Result<(), Lost> {
        for lane in Lane::ALL {
            let missing = self.end.state().missing().min(BATCH);
            if missing > 0 {
                self.fetch_now(lane, roads, missing).await?;
            }
        }
        if self.end.state().missing() > 0 && !self.end.state().has_ready() {
            for puller in &mut roads.pullers {
                if puller.outstanding() == 0 {
                    puller.request(1, 0, WAIT).await.map_err(lost)?;
                }
            }
        }
        Ok(())
    }

    /// Asks for what is there now and waits for it. What a slow server sends
    /// later comes like the rest: until then nothing more is asked for at once.
    async fn fetch_now(&self, lane: Lane, roads: &mut Roads, count: usize) -> Result<(), Lost> {
        let puller = &mut roads.pullers[index(lane)];
        if roads.asked[index(lane)].is_some_and(|request| puller.is_open(request)) {
            return Ok(());
        }
        let request = puller.request_now(count).await.map_err(lost)?;
        roads.asked[index(lane)] = Some(request);
        let until = Instant::now() + AT_ONCE;
        while puller.is_open(request) {
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, puller.next()).await {
                Ok(pulled) => self.take(&mut roads.taken, (lane, pulled)).await?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn take(&self, taken: &mut Option<(Lane, Delivery)>, (lane, pulled): (Lane, Pulled)) -> Result<(), Lost> {
        match pulled {
            Pulled::Message(delivery) => {
                let (_, delivery) = taken.insert((lane, *delivery));
                let received = self.receive(lane, delivery).await.map_err(lost);
                *taken = None;
                received
            }
            Pulled::Ended => Ok(()),
            Pulled::Lost(why) => Err(Lost(why)),
        }
    }

    async fn receive(&self, lane: Lane, delivery: &Delivery) -> Result<(), Trouble> {
        let Delivery { raw, reply, count, .. } = delivery;
        let (reply, count) = (reply.clone(), *count);
        let core = &self.end.core;
        let record = match decode_record(core.stream(self.end.class(), lane), raw) {
            Ok(record) => record,
            Err(why) => {
                let stream = &core.stream(self.end.class(), lane).name;
                self.end.state().failed = Some(format!("number {} of stream {stream}: {why}", raw.sequence));
                self.end.ready.notify_one();
                return Ok(());
            }
        };
        let wanted = &self.wanted[index(lane)];
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

    /// Gives back what nobody has taken, as it was. When dropped, the next
    /// call goes on.
    async fn give_back(&self, all: bool) {
        self.end.state().shelve_unwanted(Instant::now(), all);
        loop {
            let Some(lent) = self.end.state().shelved() else { return };
            let note = Note::of(&lent, false);
            match notes::store(&self.end.core, &self.end.spec.name, &lent, note).await {
                Ok(()) => drop(self.say(&lent.reply, give_back(Duration::ZERO)).await),
                Err(error) => tracing::debug!(%error, "a record isn't given back; it comes again after its wait"),
            }
            self.end.state().given_back();
        }
    }

    async fn say(&self, reply: &str, word: Bytes) -> Result<(), Trouble> {
        let sent = self.end.core.asker.client().publish(reply.to_owned(), word).await;
        sent.map_err(|error| Trouble::NotSent(error.to_string()))
    }
}

const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Express => 0,
        Lane::Regular => 1,
    }
}

fn lost(trouble: Trouble) -> Lost {
    Lost(trouble.to_string())
}
