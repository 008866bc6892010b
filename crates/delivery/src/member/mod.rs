//! One process's part in a namespace: the handle from which consumers come.
//!
//! Owns what the other modules share (backend, view, counters) and the order
//! of drain and leave. Deliberately decides nothing about deliveries.

mod group_end;
mod info;
mod inner;

use std::sync::Arc;

use handbell_backend::{Backend, BackendError, Outgoing, PublishError, Receipts};
use inner::Inner;
use tokio::sync::broadcast;

use crate::{
    Consumer, ConsumerKey, Counts, DirectSpec, FanoutSpec, GroupInfo, GroupSettings, JoinError, Mailbox, MemberId,
    MemberOptions, Presence, Signal, View, post::Post,
};

/// One process's part in a namespace, or one of several in a process. Clones
/// share it.
#[derive(Clone, Debug)]
pub struct Member(Arc<Inner>);

impl Member {
    /// Joins: whoever is there is known when this returns, and others learn
    /// of this one at once.
    ///
    /// # Errors
    /// When class Members can't be read or written.
    pub async fn join(backend: Arc<dyn Backend>, options: MemberOptions) -> Result<Self, BackendError> {
        Ok(Self(Arc::new(Inner::join(backend, options).await?)))
    }

    /// Its name: another one at each start.
    #[must_use]
    pub fn id(&self) -> &MemberId {
        self.0.members.id()
    }

    /// The backend beneath.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    /// Says who is attached here now, those within their resume window too.
    pub fn announce(&self, agents: Vec<Arc<Presence>>) {
        self.0.members.announce(agents.into());
    }

    /// Who is there.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.0.members.view()
    }

    /// Tells all members, this one too; best effort.
    pub fn signal(&self, signal: Signal) {
        self.0.members.signal(signal);
    }

    /// What members tell all; a reader that is too slow misses some.
    #[must_use]
    pub fn signals(&self) -> broadcast::Receiver<Arc<Signal>> {
        self.0.members.signals()
    }

    /// Publishes as [`Backend::publish`] does; an event on a shared topic goes to
    /// the topic itself, and its position is there.
    ///
    /// # Errors
    /// When nothing of the batch was handed over.
    pub async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        self.0.publish(batch).await
    }

    /// Joins a durable group, made if it isn't there; with order or without,
    /// as stored. When this returns, the group is durable and everything
    /// published from now on is delivered. With `level`, the consumer is told
    /// once that what was there before has been handed out.
    ///
    /// Cancel-safe: when dropped, no consumer has joined; the group may be made.
    ///
    /// # Errors
    /// [`JoinError`]: a stored setting differs, the filter or the position
    /// can't be read, the backend failed.
    pub async fn group(
        &self,
        settings: GroupSettings,
        key: ConsumerKey,
        mailbox: Mailbox,
        credit: u32,
        level: bool,
    ) -> Result<Consumer, JoinError> {
        self.0.group(settings, Post::new(mailbox, key), credit, level).await
    }

    /// Opens a fan-out of its own: no group; it ends with the consumer.
    ///
    /// Cancel-safe: when dropped, nothing is left behind.
    ///
    /// # Errors
    /// As for [`Member::group`], without a mismatch.
    pub async fn fanout(
        &self,
        spec: FanoutSpec,
        key: ConsumerKey,
        mailbox: Mailbox,
        credit: u32,
    ) -> Result<Consumer, JoinError> {
        self.0.fanout(spec, Post::new(mailbox, key), credit).await
    }

    /// Takes direct work: of the agent, of its pools and capabilities, and
    /// the answers to its calls, under one credit; answers use none.
    ///
    /// # Errors
    /// When a queue can't be opened.
    pub async fn direct(
        &self,
        who: DirectSpec,
        key: ConsumerKey,
        mailbox: Mailbox,
        credit: u32,
    ) -> Result<Consumer, JoinError> {
        self.0.direct(who, Post::new(mailbox, key), credit).await
    }

    /// The durable groups, as operators see them.
    ///
    /// # Errors
    /// When their cells can't be read.
    pub async fn groups(&self) -> Result<Vec<GroupInfo>, BackendError> {
        self.0.groups().await
    }

    /// What it has let go of without an ack since its start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }

    /// Drain, step 1: nothing new is handed out; what was read ahead and the
    /// partitions are given up at once, so that members elsewhere take over.
    /// What is handed out already may still be settled.
    pub async fn drain(&self) {
        self.0.drain().await;
    }

    /// Step 2, the end: what is still unsettled is given back, counted;
    /// cursors are stored and the others are told. Nothing works afterwards.
    pub async fn leave(&self) {
        self.0.leave().await;
    }
}
