//! Questions and their answers over one inbox: whoever asks gets a future for
//! the answer, and the question has its place in the connection's order when
//! asking returns.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{connect::Standing, error::Trouble};

/// How often overdue answers are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// An answer to come.
pub(crate) type Answer = oneshot::Receiver<Result<Message, Trouble>>;

/// The inbox of all questions of a connection.
#[derive(Clone)]
pub(crate) struct Asker {
    client: Client,
    inbox: Arc<str>,
    standing: watch::Receiver<Standing>,
    waiting: Arc<Mutex<Waiting>>,
    timeout: Duration,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    open: HashMap<u64, oneshot::Sender<Result<Message, Trouble>>>,
    /// By deadline: all wait equally long.
    deadlines: VecDeque<(Instant, u64)>,
    /// Nobody reads answers any more.
    over: bool,
}

impl Asker {
    /// Opens the inbox; its reader ends with `ended`.
    pub(crate) async fn open(
        client: Client,
        standing: watch::Receiver<Standing>,
        timeout: Duration,
        ended: CancellationToken,
    ) -> Result<Self, Trouble> {
        let inbox: Arc<str> = client.new_inbox().into();
        let answers = client.subscribe(format!("{inbox}.*")).await.map_err(|_| Trouble::NotConnected)?;
        let waiting: Arc<Mutex<Waiting>> = Arc::default();
        let reader = read(answers, Arc::clone(&waiting), standing.clone());
        let over = Arc::clone(&waiting);
        tokio::spawn(async move {
            ended.run_until_cancelled_owned(reader).await;
            lock(&over).end();
        });
        Ok(Self { client, inbox, standing, waiting, timeout })
    }

    /// The connection itself.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the connection stands, to be watched.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Asks; nothing was sent where this fails.
    pub(crate) async fn ask(
        &self,
        subject: impl Into<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Answer, Trouble> {
        if !self.standing.borrow().connected {
            return Err(Trouble::NotConnected);
        }
        let (number, answer) = lock(&self.waiting).open(self.timeout);
        let (subject, inbox) = (subject.into(), format!("{}.{number}", self.inbox));
        let sent = match headers {
            Some(headers) => self.client.publish_with_reply_and_headers(subject, inbox, headers, payload).await,
            None => self.client.publish_with_reply(subject, inbox, payload).await,
        };
        match sent {
            Ok(()) => Ok(answer),
            Err(error) => {
                lock(&self.waiting).open.remove(&number);
                Err(Trouble::NotSent(error.to_string()))
            }
        }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn answer(
        &self,
        subject: impl Into<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message, Trouble> {
        settled(self.ask(subject, headers, payload).await?.await)
    }
}

/// The answer, or that nobody waits for it any more.
pub(crate) fn settled(answer: Result<Result<Message, Trouble>, oneshot::error::RecvError>) -> Result<Message, Trouble> {
    answer.unwrap_or(Err(Trouble::Timeout))
}

impl Waiting {
    fn open(&mut self, timeout: Duration) -> (u64, Answer) {
        let (sender, answer) = oneshot::channel();
        self.last += 1;
        if self.over {
            return (self.last, answer);
        }
        self.open.insert(self.last, sender);
        self.deadlines.push_back((Instant::now() + timeout, self.last));
        (self.last, answer)
    }

    fn close(&mut self, number: u64, answer: Result<Message, Trouble>) {
        if let Some(sender) = self.open.remove(&number) {
            // Whoever dropped it doesn't want to know.
            drop(sender.send(answer));
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, number)) = self.deadlines.pop_front_if(|(deadline, _)| *deadline <= now) {
            self.close(number, Err(Trouble::Timeout));
        }
    }

    fn end(&mut self) {
        self.over = true;
        self.lose_all();
    }

    /// What was asked over a connection that is gone gets no answer.
    fn lose_all(&mut self) {
        self.deadlines.clear();
        for (_, sender) in self.open.drain() {
            drop(sender.send(Err(Trouble::Timeout)));
        }
    }
}

async fn read(mut answers: Subscriber, waiting: Arc<Mutex<Waiting>>, mut standing: watch::Receiver<Standing>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            message = answers.next() => match message {
                Some(message) => take(&waiting, message),
                None => return lock(&waiting).lose_all(),
            },
            changed = standing.changed() => {
                if changed.is_err() || !standing.borrow_and_update().connected {
                    lock(&waiting).lose_all();
                }
                if changed.is_err() {
                    return;
                }
            }
            _ = look.tick() => lock(&waiting).expire(Instant::now()),
        }
    }
}

fn take(waiting: &Mutex<Waiting>, message: Message) {
    let number = message.subject.rsplit('.').next().and_then(|number| number.parse().ok());
    let Some(number) = number else { return };
    let answer = match message.status {
        Some(StatusCode::NO_RESPONDERS) => Err(Trouble::NoResponders),
        _ => Ok(message),
    };
    lock(waiting).close(number, answer);
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
