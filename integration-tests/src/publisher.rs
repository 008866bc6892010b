//! A publisher that survives the loss of its sidecar and of the broker: what
//! was not answered, or refused for the moment, is sent again under the same
//! number.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use serde_json::{Value, json};

use crate::Agent;

/// The codes that leave a number open: it is sent again.
const OPEN: [&str; 4] = ["busy", "backend_unavailable", "in_doubt", "seq_gap"];

/// Publishes `count` events with `payload: n` and waits for every answer.
#[derive(Debug)]
pub struct Publisher {
    name: String,
    topic: String,
    next: u64,
    count: u64,
    resume: Value,
    unanswered: BTreeMap<u64, Value>,
    /// What was sent over this socket and has no answer.
    awaited: BTreeSet<u64>,
    /// How often each code left a number open.
    pub refused: BTreeMap<String, u64>,
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
            awaited: BTreeSet::new(),
            refused: BTreeMap::new(),
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
        self.awaited.clear();
        while (self.published.len() as u64) < goal {
            let sent = match (self.awaited.is_empty(), self.unanswered.is_empty()) {
                (true, false) => self.send_again(&mut agent).await,
                // While a number is open, what follows would be refused too.
                _ if self.awaited.len() < self.unanswered.len() => true,
                _ => self.fill(&mut agent).await,
            };
            if !sent {
                return Ok(());
            }
            let Ok(Some(frame)) = agent.next().await else { return Ok(()) };
            self.answered(&frame)?;
            if self.awaited.is_empty() && !self.unanswered.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    async fn send_again(&mut self, agent: &mut Agent) -> bool {
        for (seq, frame) in &self.unanswered {
            self.resent.insert(*seq);
            self.awaited.insert(*seq);
            if agent.send(frame).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Sends on until the window is full.
    async fn fill(&mut self, agent: &mut Agent) -> bool {
        while self.unanswered.len() < 256 && self.next <= self.count {
            let seq = self.next;
            self.next += 1;
            let frame = self.frame(seq);
            self.unanswered.insert(seq, frame.clone());
            self.awaited.insert(seq);
            if agent.send(&frame).await.is_err() {
                return false;
            }
        }
        true
    }

    fn frame(&self, seq: u64) -> Value {
        let routing = json!({"topic": self.topic, "partition_key": format!("k{}", seq % 7)});
        json!({"op":"publish","seq":seq,"event":{"type":"Counted"},"payload":seq,"routing":routing})
    }

    fn answered(&mut self, frame: &Value) -> anyhow::Result<()> {
        match frame["op"].as_str() {
            Some("published") => {
                let seq = frame["seq"].as_u64().unwrap_or_default();
                self.unanswered.remove(&seq);
                self.awaited.remove(&seq);
                self.published.insert(seq, frame["id"].as_str().unwrap_or_default().into());
                Ok(())
            }
            Some("rejected") => {
                let code = frame["code"].as_str().unwrap_or_default();
                anyhow::ensure!(OPEN.contains(&code), "rejected: {frame}");
                let again = self.frame(frame["seq"].as_u64().unwrap_or_default());
                *self.refused.entry(code.to_owned()).or_default() += 1;
                let seq = frame["seq"].as_u64().unwrap_or_default();
                self.awaited.remove(&seq);
                // A repeat may be refused whose first was stored: it is open too.
                if let Entry::Vacant(open) = self.unanswered.entry(seq) {
                    open.insert(again);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
