//! What sessions want done, done.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use handbell_backend::{BackendError, Fault, Outgoing, PublishError, Stored};
use handbell_delivery::{Consumer, ConsumerKey, JoinError, Leave, Mailbox, Member};
use handbell_protocol::{Code, Refusal};

use crate::session::{Input, Join, Ticket};

/// The receipts of one batch: for each ticket how many records it has.
type Receipts = (Vec<(Ticket, usize)>, Vec<Result<Stored, PublishError>>);

/// A consumer that was made, or why not; or the task that made it has ended.
type Joining = (ConsumerKey, Result<Result<Consumer, JoinError>, tokio::task::JoinError>);

/// What came of something that was under way.
pub(super) enum Happened {
    /// Receipts of one batch.
    Receipts(Vec<(Ticket, Result<Stored, PublishError>)>),
    /// A consumer was made, or can't be; `None`: nobody wants it any more.
    Joined(Option<Box<Input>>),
}

/// A session's ends towards the backend and its consumers.
pub(super) struct Hands {
    member: Member,
    mailbox: Mailbox,
    consumers: BTreeMap<ConsumerKey, Consumer>,
    /// Consumers that were left while they were being made.
    abandoned: BTreeSet<ConsumerKey>,
    joining: FuturesUnordered<BoxFuture<'static, Joining>>,
    receipts: FuturesUnordered<BoxFuture<'static, Receipts>>,
    batch: Vec<Outgoing>,
    tickets: Vec<(Ticket, usize)>,
}

impl Hands {
    pub(super) fn new(member: Member) -> Self {
        Self {
            member,
            mailbox: Mailbox::default(),
            consumers: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            joining: FuturesUnordered::new(),
            receipts: FuturesUnordered::new(),
            batch: Vec::new(),
            tickets: Vec::new(),
        }
    }

    pub(super) fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    pub(super) fn consumer(&self, key: ConsumerKey) -> Option<&Consumer> {
        self.consumers.get(&key)
    }

    // === publishing ===

    pub(super) fn publish(&mut self, ticket: Ticket, records: Vec<Outgoing>) {
        self.tickets.push((ticket, records.len()));
        self.batch.extend(records);
    }

    /// Hands everything over that was published since the last call.
    pub(super) async fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let tickets = std::mem::take(&mut self.tickets);
        let count = batch.len();
        match self.member.publish(batch).await {
            Ok(receipts) => self.receipts.push(Box::pin(async move { (tickets, receipts.await) })),
            Err(error) => self.receipts.push(Box::pin(async move { (tickets, vec![Err(error); count]) })),
        }
    }

    /// Waits for receipts, one for each ticket of a batch, or for a consumer
    /// that was made. Cancel-safe. Never answers while nothing is under way.
    pub(super) async fn happened(&mut self) -> Happened {
        tokio::select! {
            Some((tickets, results)) = self.receipts.next() => {
                let mut results = results.into_iter();
                let whole = |(ticket, count)| (ticket, whole(results.by_ref().take(count)));
                Happened::Receipts(tickets.into_iter().map(whole).collect())
            }
            Some((key, joined)) = self.joining.next() => {
                let ended = || JoinError::Backend(BackendError::new(Fault::Closed, "join", "the sidecar is shutting down"));
                Happened::Joined(self.joined(key, joined.unwrap_or_else(|_| Err(ended()))).map(Box::new))
            }
            else => std::future::pending().await,
        }
    }

    // === consumers ===

    pub(super) fn join(&mut self, key: ConsumerKey, join: Join) {
        let (member, mailbox) = (self.member.clone(), self.mailbox.clone());
        // A task of its own: whatever it waits for, it must go on while the
        // session itself waits for the backend, or each could wait for the other.
        let made = tokio::spawn(async move {
            match join {
                Join::Direct { spec, credit } => member.direct(spec, key, mailbox, credit).await,
                Join::Group { settings, credit, level } => member.group(settings, key, mailbox, credit, level).await,
                Join::Fanout { spec, credit } => member.fanout(spec, key, mailbox, credit).await,
            }
        });
        self.joining.push(Box::pin(async move { (key, made.await) }));
    }

    fn joined(&mut self, key: ConsumerKey, joined: Result<Consumer, JoinError>) -> Option<Input> {
        match joined {
            Ok(consumer) if self.abandoned.remove(&key) => {
                consumer.leave(Leave::Clean);
                None
            }
            Ok(consumer) => {
                self.consumers.insert(key, consumer);
                Some(Input::Joined(key, Ok(())))
            }
            Err(error) => Some(Input::Joined(key, Err(refusal(&error)))),
        }
    }

    pub(super) fn leave(&mut self, key: ConsumerKey, how: Leave) {
        match self.consumers.remove(&key) {
            Some(consumer) => consumer.leave(how),
            None => {
                self.abandoned.insert(key);
            }
        }
    }

    pub(super) fn leave_all(&mut self, how: Leave) {
        for (_, consumer) in std::mem::take(&mut self.consumers) {
            consumer.leave(how);
        }
    }

    pub(super) fn cancel(&self, request: String) {
        self.member.signal(handbell_delivery::Signal { kind: super::server::CANCEL.into(), body: request });
    }
}

/// One receipt for several records: the first's, or the first failure.
fn whole(mut results: impl Iterator<Item = Result<Stored, PublishError>>) -> Result<Stored, PublishError> {
    let first = results.next().unwrap_or_else(|| Err(PublishError::InDoubt("the backend gave no receipt".into())))?;
    for result in results {
        result?;
    }
    Ok(first)
}

fn refusal(error: &JoinError) -> Refusal {
    let code = match error {
        JoinError::Mismatch { .. } => Code::GroupMismatch,
        JoinError::BadFilter(_) => Code::BadFilter,
        JoinError::BadPosition(_) => Code::Protocol,
        JoinError::Backend(_) => Code::BackendUnavailable,
    };
    Refusal::new(code, error.to_string())
}
