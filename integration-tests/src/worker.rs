//! A member of a group that acks what it gets and tells a checker of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{Agent, Checker, delivery_of};

/// A checker that several share.
pub type Shared = Arc<Mutex<Checker>>;

/// The checker.
pub fn lock(checker: &Shared) -> MutexGuard<'_, Checker> {
    checker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connected worker.
#[derive(Debug)]
pub struct Worker {
    agent: Agent,
    checker: Shared,
    /// Numbers by the deliveries that are acked and not yet answered.
    held: BTreeMap<String, u64>,
    leaving: bool,
}

impl Worker {
    /// Joins the group `work` on the topics `count.*`.
    ///
    /// # Errors
    /// When it isn't let in.
    pub async fn join(url: &str, name: &str, checker: &Shared) -> anyhow::Result<Self> {
        let mut agent = Agent::named(url, name).await?;
        let retry = json!({"max_retries": 1000});
        let subscribe = json!({"op":"subscribe","sub":"s","topics":["count.*"],"group":"work","from":"start",
            "credit":50,"retry":retry});
        agent.ask(&subscribe, "subscribed").await?;
        Ok(Self { agent, checker: Arc::clone(checker), held: BTreeMap::new(), leaving: false })
    }

    /// Works until the socket is closed, or `over` says so.
    ///
    /// # Errors
    /// When a frame makes no sense.
    pub async fn work(mut self, over: impl Fn(&Checker) -> bool) -> anyhow::Result<()> {
        while !over(&lock(&self.checker)) {
            match tokio::time::timeout(Duration::from_millis(200), self.agent.next()).await {
                Err(_) => {}
                Ok(frame) => match frame? {
                    Some(frame) => self.take(&frame).await?,
                    None => break,
                },
            }
        }
        // What was acked and not answered may be settled or not.
        lock(&self.checker).lost(self.held.into_values());
        Ok(())
    }

    async fn take(&mut self, frame: &Value) -> anyhow::Result<()> {
        match frame["op"].as_str() {
            Some("deliver") => {
                let n = frame["payload"].as_u64().context("the payload is a number")?;
                let (attempt, id) = (frame["attempt"].as_u64(), frame["event"]["id"].as_str());
                lock(&self.checker).delivered(n, attempt.context("attempt")?, id.context("id")?);
                let delivery = delivery_of(frame);
                self.held.insert(delivery.clone(), n);
                // A socket that is lost is told by the next read.
                drop(self.agent.send(&json!({"op":"ack","deliveries":[delivery],"confirm":true})).await);
            }
            Some("settled") => {
                let told = frame["deliveries"].as_array().context("deliveries")?;
                let settled = told.iter().filter_map(|delivery| self.held.remove(delivery.as_str()?));
                settled.for_each(|n| lock(&self.checker).settled(n));
            }
            Some("gone") => {
                let gone = self.held.remove(frame["delivery"].as_str().context("delivery")?);
                lock(&self.checker).lost(gone);
            }
            Some("goaway") => self.leaving = true,
            Some("error") => anyhow::bail!("{frame}"),
            _ => {}
        }
        if self.leaving && self.held.is_empty() {
            drop(self.agent.send(&json!({"op":"bye"})).await);
        }
        Ok(())
    }
}
