//! A session that outlives its connections.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use handbell_protocol::frame::Published;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::{
    address::Address,
    frames::{Frame, Rejected, Work},
    greet::{Hello, Lost, greet},
    socket::{Incoming, Socket},
};
use crate::{failure::Failure, reach::Place};

/// A session.
pub(crate) struct Session {
    pub(super) place: Place,
    pub(super) address: Address,
    pub(super) hello: Hello,
    pub(super) socket: Socket,
    pub(super) producer: String,
    pub(super) resume: String,
    pub(super) next_seq: u64,
    /// Publishes and requests without an answer, by `seq`.
    pub(super) open: BTreeMap<u64, String>,
    /// When what is open is sent again, after `busy` and the like.
    pub(super) again: Option<Instant>,
    /// When patience with `busy` ends.
    pub(super) busy_until: Option<Instant>,
    /// By `sub`, to be sent again where the session could not be resumed.
    pub(super) subscriptions: BTreeMap<String, String>,
    /// Deliveries that were seen lately; a resumed session sends them again.
    pub(super) seen: VecDeque<String>,
    /// Deliveries that are being handled.
    pub(super) held: BTreeSet<String>,
    /// Settlements without an answer, by delivery.
    pub(super) settling: BTreeMap<String, String>,
    /// The sidecar goes away: what is begun is finished, then another
    /// connection is opened.
    pub(super) leaving: bool,
}

/// How long a lost connection, or a busy sidecar, is tried again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a command that has failed waits for its settlements.
const GIVING_UP: Duration = Duration::from_secs(1);
const SEEN: usize = 4_096;

impl Session {
    /// Connects and says hello.
    pub(crate) async fn connect(place: Place, hello: Hello) -> Result<Self, Failure> {
        let address = Address::parse(&place)?;
        let (socket, welcome) = greet(&place, &address, &hello, None).await.map_err(Lost::into_failure)?;
        Ok(Self {
            place,
            address,
            hello,
            socket,
            producer: welcome.producer,
            resume: welcome.resume,
            next_seq: 1,
            open: BTreeMap::new(),
            again: None,
            busy_until: None,
            subscriptions: BTreeMap::new(),
            seen: VecDeque::new(),
            held: BTreeSet::new(),
            leaving: false,
            settling: BTreeMap::new(),
        })
    }

    /// What tells this run of the agent from all others: the producer's nonce.
    pub(crate) fn run(&self) -> &str {
        self.producer.rsplit_once('#').map_or(&self.producer, |(_, nonce)| nonce)
    }

    /// Sends a `publish` or a `request`, numbered; it is sent again until it
    /// is answered. Returns its `seq`.
    pub(crate) async fn publish(&mut self, mut work: Work) -> Result<u64, Failure> {
        work.seq = self.next_seq;
        self.next_seq += 1;
        let text = serde_json::to_string(&work).expect("a frame has text keys");
        self.open.insert(work.seq, text.clone());
        self.send(&text).await?;
        Ok(work.seq)
    }

    /// Subscribes; again where the session could not be resumed.
    pub(crate) async fn subscribe(&mut self, sub: &str, mut frame: Map<String, Json>) -> Result<(), Failure> {
        frame.insert("op".into(), "subscribe".into());
        frame.insert("sub".into(), sub.into());
        let text = Json::Object(frame).to_string();
        self.subscriptions.insert(sub.into(), text.clone());
        self.send(&text).await
    }

    /// Settles a delivery with a frame that asks for confirmation.
    pub(crate) async fn settle(&mut self, delivery: &str, frame: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(frame).expect("a frame has text keys");
        self.held.remove(delivery);
        self.settling.insert(delivery.into(), text.clone());
        self.send(&text).await
    }

    /// Done with it.
    pub(crate) async fn ack(&mut self, delivery: &str) -> Result<(), Failure> {
        self.settle(delivery, &json!({ "op": "ack", "deliveries": [delivery], "confirm": true })).await
    }

    /// Neither settled nor handled: the sidecar gets it back when it ends.
    pub(crate) fn leave(&mut self, delivery: &str) {
        self.held.remove(delivery);
    }

    /// How many settlements are not answered yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.settling.len()
    }

    /// The next frame that says something new. A lost connection is opened
    /// again, what is open is sent again; deliveries come once. Cancel-safe
    /// where the connection stands.
    ///
    /// # Errors
    /// When the sidecar refuses the session, or can't be reached for 30 s.
    pub(crate) async fn next(&mut self) -> Result<Frame, Failure> {
        loop {
            self.leave_if_done().await?;
            let incoming = match self.again {
                None => self.socket.next().await,
                Some(at) => tokio::select! {
                    incoming = self.socket.next() => incoming,
                    () = tokio::time::sleep_until(at) => {
                        self.again = None;
                        self.send_open().await?;
                        continue;
                    }
                },
            };
            match incoming {
                Incoming::Text(text) => {
                    if let Some(frame) = Frame::parse(text)
                        && self.is_news(&frame)?
                    {
                        return Ok(frame);
                    }
                }
                Incoming::Closed(frame) => {
                    self.refused(frame.map(|frame| (frame.code, frame.reason.to_string())))?;
                    self.reconnect().await?;
                }
            }
        }
    }

    /// Says goodbye, whatever the work came to, so that nothing of the
    /// session stays behind. What has failed isn't waited for.
    pub(crate) async fn end<T>(self, end: Result<T, Failure>, patience: Duration) -> Result<T, Failure> {
        let patience = if end.is_ok() { patience } else { patience.min(GIVING_UP) };
        let goodbye = self.bye(patience).await;
        end.and_then(|end| goodbye.map(|()| end))
    }

    /// Waits until every settlement is answered, for at most `patience`, and
    /// says goodbye.
    async fn bye(mut self, patience: Duration) -> Result<(), Failure> {
        let settled = async {
            while self.unsettled() > 0 {
                self.next().await?;
            }
            Ok::<(), Failure>(())
        };
        let done = tokio::time::timeout(patience, settled).await.unwrap_or(Ok(()));
        // Gone already is goodbye, too.
        if self.socket.send(r#"{"op":"bye"}"#).await.is_ok() {
            let closed = async { while let Incoming::Text(_) = self.socket.next().await {} };
            drop(tokio::time::timeout(Duration::from_secs(2), closed).await);
        }
        done
    }

    /// What a frame changes here, and whether the caller has to know it.
    fn is_news(&mut self, frame: &Frame) -> Result<bool, Failure> {
        match frame.op.as_str() {
            "published" => Ok(self.answered(frame.read::<Published>().map(|published| published.seq))),
            "rejected" => self.rejected(frame),
            "deliver" | "reply" => Ok(self.is_new_delivery(frame)),
            "goaway" => {
                self.leaving = true;
                Ok(true)
            }
            "settled" | "gone" => {
                self.settled(frame);
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    fn answered(&mut self, seq: Option<u64>) -> bool {
        self.busy_until = None;
        seq.is_some_and(|seq| self.open.remove(&seq).is_some())
    }

    /// Codes that leave the seq open are not told: the same is sent again.
    fn rejected(&mut self, frame: &Frame) -> Result<bool, Failure> {
        let Some(rejected) = frame.read::<Rejected>() else { return Ok(true) };
        if !rejected.code.leaves_seq_open() || rejected.seq.is_none() {
            return Ok(self.answered(rejected.seq) || rejected.seq.is_none());
        }
        let now = Instant::now();
        if *self.busy_until.get_or_insert(now + PATIENCE) < now {
            let what = format!("it is still not stored after 30 s: {}", rejected.reason);
            return Err(Failure::failed(what, self.place.url.clone(), "try again later"));
        }
        let wait = Duration::from_millis(rejected.retry_after_ms.unwrap_or(200));
        self.again.get_or_insert(now + wait);
        Ok(false)
    }

    fn is_new_delivery(&mut self, frame: &Frame) -> bool {
        #[derive(serde::Deserialize)]
        struct Named {
            delivery: String,
        }
        let Some(Named { delivery }) = frame.read() else { return false };
        if self.seen.contains(&delivery) {
            return false;
        }
        if self.seen.len() == SEEN {
            self.seen.pop_front();
        }
        self.held.insert(delivery.clone());
        self.seen.push_back(delivery);
        true
    }

    fn settled(&mut self, frame: &Frame) {
        #[derive(serde::Deserialize)]
        struct Which {
            #[serde(default)]
            deliveries: BTreeSet<String>,
            #[serde(default)]
            delivery: Option<String>,
        }
        if let Some(which) = frame.read::<Which>() {
            self.settling.retain(|delivery, _| {
                !which.deliveries.contains(delivery) && which.delivery.as_ref() != Some(delivery)
            });
        }
    }
}
