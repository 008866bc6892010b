//! A publisher that survives the loss of its sidecar: what was not answered is
//! sent again after the resume, under the same number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::Agent;

/// Publishes `count` events with `payload: n` and waits for every answer.
#[derive(Debug)]
pub struct Publisher {
    name: String,
    topic: String,
    next: u64,
    count: u64,
    resume: Value,
    unanswered: BTreeMap<u64, Value>,
    /// The IDs of what is published, by number.
    pub published: BTreeMap<u64, String>,
    /// What was sent more than once.
    pub resent: BTreeSet<u64>,
}

impl Publisher {
    /// A publisher of that name.
    #[must_use]
    pub fn new(name: &str, topic: &str, count: u64) -> Self {
        Self {
            name: name.into(),
            topic: topic.into(),
            next: 1,
            count,
            resume: Value::Null,
            unanswered: BTreeMap::new(),
            published: BTreeMap::new(),
            resent: BTreeSet::new(),
        }
    }

    /// Whether everything is answered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.published.len() as u64 == self.count
    }

    /// Publishes until everything is answered, `enough` answers more have
    /// come, or the socket is lost.
    ///
    /// # Errors
    /// When an answer is wrong.
    pub async fn run(&mut self, url: &str, enough: u64) -> anyhow::Result<()> {
        let Ok(mut agent) = Agent::hello(url, json!({"agent": self.name, "resume": self.resume})).await else {
            return Ok(());
        };
        self.resume = agent.resume();
        let goal = (self.published.len() as u64 + enough).min(self.count);
        for (seq, frame) in &self.unanswered {
            self.resent.insert(*seq);
            if agent.send(frame).await.is_err() {
                return Ok(());
            }
        }
        while (self.published.len() as u64) < goal {
            if !self.fill(&mut agent).await {
                return Ok(());
            }
            let Ok(Some(frame)) = agent.next().await else { return Ok(()) };
            self.answered(&frame)?;
        }
        Ok(())
    }

    /// Sends on until the window is full.
    async fn fill(&mut self, agent: &mut Agent) -> bool {
        while self.unanswered.len() < 256 && self.next <= self.count {
            let seq = self.next;
            self.next += 1;
            let routing = json!({"topic": self.topic, "partition_key": format!("k{}", seq % 7)});
            let frame = json!({"op":"publish","seq":seq,"event":{"type":"Counted"},"payload":seq,"routing":routing});
            self.unanswered.insert(seq, frame.clone());
            if agent.send(&frame).await.is_err() {
                return false;
            }
        }
        true
    }

    fn answered(&mut self, frame: &Value) -> anyhow::Result<()> {
        match frame["op"].as_str() {
            Some("published") => {
                let seq = frame["seq"].as_u64().unwrap_or_default();
                self.unanswered.remove(&seq);
                self.published.insert(seq, frame["id"].as_str().unwrap_or_default().into());
                Ok(())
            }
            Some("rejected") => anyhow::bail!("rejected: {frame}"),
            _ => Ok(()),
        }
    }
}
