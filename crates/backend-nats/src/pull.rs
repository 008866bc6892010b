//! Pulling from a consumer: requests for so many messages, and what comes.

use std::{collections::VecDeque, time::Duration};

use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt, StreamExt};
use handbell_protocol::Timestamp;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::{ack::Asker, connect::Standing, error::Trouble, message::Raw};

/// How often the server says that a request still waits.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// After that long without a word the request is lost.
const SILENCE: Duration = Duration::from_secs(8);

/// How long to wait for what is on its way at the end.
const CLOSING: Duration = Duration::from_secs(2);

/// A message and how it was delivered.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) raw: Raw,
    /// Where it is acknowledged.
    pub(crate) reply: String,
    /// How often it was delivered.
    pub(crate) count: u64,
    /// The how manieth delivery of its consumer this is.
    pub(crate) consumer_sequence: u64,
    /// How many more the consumer has.
    pub(crate) pending: u64,
}

/// What comes of requests.
#[derive(Debug)]
pub(crate) enum Pulled {
    Message(Box<Delivery>),
    /// A request has ended: it has waited long enough, or there was no more.
    Ended,
    /// The requests are lost, with whatever was on its way; why.
    Lost(String),
}

/// Requests to one consumer, in order.
pub(crate) struct Puller {
    asker: Asker,
    subject: String,
    inbox: String,
    messages: Subscriber,
    standing: watch::Receiver<Standing>,
    epoch: u64,
    open: VecDeque<Request>,
    last: u64,
    heard: Instant,
}

struct Request {
    id: u64,
    left: usize,
}

impl Puller {
    pub(crate) async fn new(asker: &Asker, stream: &str, consumer: &str) -> Result<Self, Trouble> {
        let mut standing = asker.standing();
        let epoch = standing.borrow_and_update().epoch;
        let inbox = asker.client().new_inbox();
        let messages = asker.client().subscribe(format!("{inbox}.*")).await.map_err(|_| Trouble::NotConnected)?;
        Ok(Self {
            asker: asker.clone(),
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            inbox,
            messages,
            standing,
            epoch,
            open: VecDeque::new(),
            last: 0,
            heard: Instant::now(),
        })
    }

    /// How many messages are asked for and haven't come.
    pub(crate) fn outstanding(&self) -> usize {
        self.open.iter().map(|request| request.left).sum()
    }

    /// Asks for so many messages, and waits so long at the server until they come.
    pub(crate) async fn request(&mut self, count: usize, max_bytes: usize, wait: Duration) -> Result<(), Trouble> {
        let heartbeat = HEARTBEAT.as_nanos() as u64;
        let mut body = json!({ "batch": count, "expires": wait.as_nanos() as u64, "idle_heartbeat": heartbeat });
        if max_bytes > 0 {
            body["max_bytes"] = max_bytes.into();
        }
        self.send(count, &body).await
    }

    /// Asks for at most so many of the messages that are there now.
    pub(crate) async fn request_now(&mut self, count: usize) -> Result<u64, Trouble> {
        self.send(count, &json!({ "batch": count, "no_wait": true })).await?;
        Ok(self.last)
    }

    /// Whether a request still waits for messages.
    pub(crate) fn is_open(&self, request: u64) -> bool {
        self.open.iter().any(|open| open.id == request)
    }

    async fn send(&mut self, count: usize, body: &serde_json::Value) -> Result<(), Trouble> {
        if self.open.is_empty() {
            self.heard = Instant::now();
        }
        self.last += 1;
        let reply = format!("{}.{}", self.inbox, self.last);
        self.open.push_back(Request { id: self.last, left: count });
        let sent = self.asker.client().publish_with_reply(self.subject.clone(), reply, body.to_string().into()).await;
        sent.map_err(|error| Trouble::NotSent(error.to_string()))
    }

    /// What comes next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Pulled {
        loop {
            let silent = self.heard + SILENCE;
            let waits = !self.open.is_empty();
            tokio::select! {
                biased;
                message = self.messages.next() => match message {
                    Some(message) => if let Some(pulled) = self.take(message) { return pulled },
                    None => return Pulled::Lost("the subscription has ended".into()),
                },
                changed = self.standing.changed() => {
                    if changed.is_err() || self.is_another_connection() {
                        return self.lost("the connection was lost");
                    }
                }
                () = sleep_until(silent), if waits => return self.lost("the server is silent"),
            }
        }
    }

    /// What has come already.
    pub(crate) fn ready(&mut self) -> Option<Pulled> {
        loop {
            let message = self.messages.next().now_or_never()??;
            if let Some(pulled) = self.take(message) {
                return Some(pulled);
            }
        }
    }

    /// Asks for nothing more, and takes what was on its way.
    pub(crate) async fn close(&mut self) -> Vec<Delivery> {
        let mut last = Vec::new();
        while let Some(pulled) = self.ready() {
            if let Pulled::Message(delivery) = pulled {
                last.push(*delivery);
            }
        }
        if !self.standing.borrow().connected || self.messages.drain().await.is_err() {
            return last;
        }
        let rest = async {
            while let Some(message) = self.messages.next().await {
                if let Some(Pulled::Message(delivery)) = self.take(message) {
                    last.push(*delivery);
                }
            }
        };
        // Beyond that they come again after the broker's wait.
        drop(timeout(CLOSING, rest).await);
        last
    }

    fn is_another_connection(&mut self) -> bool {
        let standing = *self.standing.borrow_and_update();
        standing.connected && standing.epoch != self.epoch
    }

    fn lost(&mut self, why: &str) -> Pulled {
        self.open.clear();
        self.epoch = self.standing.borrow().epoch;
        self.heard = Instant::now();
        Pulled::Lost(why.into())
    }

    fn take(&mut self, message: Message) -> Option<Pulled> {
        self.heard = Instant::now();
        let Some(status) = message.status else { return self.delivered(message) };
        let text = message.description.unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => None,
            StatusCode::NO_RESPONDERS => Some(self.lost("the consumer isn't there")),
            _ if ["Consumer Deleted", "Leadership Change", "Server Shutdown"]
                .iter()
                .any(|word| text.contains(word)) =>
            {
                Some(self.lost(&text))
            }
            _ => {
                let id = message.subject.rsplit('.').next().and_then(|id| id.parse().ok()).unwrap_or(0);
                let before = self.open.len();
                self.open.retain(|request: &Request| request.id != id);
                (self.open.len() < before).then_some(Pulled::Ended)
            }
        }
    }

    fn delivered(&mut self, message: Message) -> Option<Pulled> {
        if let Some(first) = self.open.front_mut() {
            first.left -= 1;
            if first.left == 0 {
                self.open.pop_front();
            }
        }
        delivery(message).map(|delivery| Pulled::Message(Box::new(delivery)))
    }
}

/// A message with what its reply subject says:
/// `$JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.COUNT.SEQUENCE.CONSUMER_SEQUENCE.TIME.PENDING[.…]`.
fn delivery(message: Message) -> Option<Delivery> {
    let reply = message.reply?.to_string();
    let tokens: Vec<&str> = reply.split('.').collect();
    let from = if tokens.len() == 9 { 4 } else { 6 };
    let number = |at: usize| tokens.get(from + at)?.parse::<u64>().ok();
    let nanoseconds: i64 = tokens.get(from + 3)?.parse().ok()?;
    Some(Delivery {
        count: number(0)?,
        consumer_sequence: number(2)?,
        pending: number(4)?,
        raw: Raw {
            subject: message.subject.to_string(),
            sequence: number(1)?,
            time: Timestamp::from_millis(nanoseconds.div_euclid(1_000_000)),
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
        },
        reply,
    })
}
