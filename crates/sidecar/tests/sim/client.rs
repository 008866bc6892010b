//! An agent: numbers its publishes, sends again what is open, goes on after a
//! loss. It follows docs/protocol.md to the letter and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use handbell_protocol::{
    AgentName, Code, Timestamp,
    frame::{ErrorFrame, Published, Rejected, ServerFrame, Welcome},
};
use serde_json::{Value, json};

use super::{Happening, World, book::Note, handler::Job};

/// How a publish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Published,
    Refused(Code),
}

/// A publish or request under its number.
pub(crate) struct Item {
    pub(crate) mark: String,
    pub(crate) text: String,
    /// The same number with other content, sent on top of it.
    pub(crate) other: Option<String>,
    pub(crate) answer: Option<Answer>,
    /// What it was told is that it stays open.
    pub(crate) open: bool,
    pub(crate) call: Option<String>,
    /// The delivery that it answers.
    pub(crate) cause: Option<String>,
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Topic,
    Agent,
    Pool,
    All,
    Request,
    TooLarge,
    /// The broker refuses it for good.
    Refused,
    /// The frame itself is malformed.
    Malformed,
}

/// A subscription as the agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sub {
    Asked,
    Stands,
}

/// An agent.
pub(crate) struct Client {
    pub(crate) name: AgentName,
    pub(crate) born: Timestamp,
    pub(crate) process: usize,
    pub(crate) conn: Option<usize>,
    pub(crate) welcomed: bool,
    /// The session of the last `welcome`.
    pub(crate) resume: Option<usize>,
    pub(crate) items: BTreeMap<u64, Item>,
    pub(crate) jobs: BTreeMap<String, Job>,
    /// Deliveries of before, with their sessions.
    pub(crate) past: Vec<(String, usize)>,
    pub(crate) subs: BTreeMap<&'static str, Sub>,
    pub(crate) wanted: BTreeSet<&'static str>,
    pub(crate) replies: BTreeMap<String, usize>,
    /// Sends all again that is unanswered, or only what was told as open.
    pub(crate) resends_all: bool,
    /// Publishes on behalf of a delivery behind its ack.
    pub(crate) hasty: bool,
    resend_planned: bool,
}

impl Client {
    pub(crate) fn new(index: usize, wanted: BTreeSet<&'static str>) -> Self {
        Self {
            name: AgentName::parse(["/a", "/b", "/c"][index]).expect("a name"),
            born: Timestamp::from_millis(1_700_000_000_000 + index as i64),
            process: 0,
            conn: None,
            welcomed: false,
            resume: None,
            items: BTreeMap::new(),
            jobs: BTreeMap::new(),
            past: Vec::new(),
            subs: BTreeMap::new(),
            wanted,
            replies: BTreeMap::new(),
            resends_all: false,
            hasty: false,
            resend_planned: false,
        }
    }
}

impl World {
    // === publishing ===

    pub(crate) fn publish(&mut self, client: usize, kind: Kind) -> u64 {
        let seq = self.clients[client].items.len() as u64 + 1;
        let refused = if kind == Kind::Refused { "refused:" } else { "" };
        let mark = format!("p:{refused}{client}:{seq}");
        let mut frame = json!({"op": "publish", "seq": seq, "event": {"type": "XEvent"}, "payload": mark});
        let other = (client + 1) % self.clients.len();
        frame["routing"] = match kind {
            Kind::Agent | Kind::Request if self.random.chance(85) => json!({"to": self.clients[other].name.as_str()}),
            Kind::Request if self.random.chance(50) => json!({"to": "/nobody"}),
            Kind::Agent | Kind::Request | Kind::Pool => json!({"to": "pool:p"}),
            Kind::All => json!({"to": "all"}),
            Kind::Malformed => json!(5),
            _ => json!({"topic": "t.x", "partition_key": format!("k{}", self.random.below(3))}),
        };
        if kind == Kind::TooLarge {
            frame["payload"] = json!(format!("{mark} {}", "x".repeat(400)));
        }
        let mut call = None;
        if kind == Kind::Request {
            let name = format!("c{seq}");
            frame["op"] = json!("request");
            frame["call"] = json!(name);
            frame["deadline"] = json!(format!("{}ms", self.random.between(200, 3_000)));
            if self.random.chance(20) {
                frame["default"] = json!("instead");
            }
            call = Some(name);
        }
        self.new_item(client, seq, mark, frame, call, None)
    }

    pub(crate) fn new_item(
        &mut self,
        client: usize,
        seq: u64,
        mark: String,
        frame: Value,
        call: Option<String>,
        cause: Option<String>,
    ) -> u64 {
        let text = frame.to_string();
        self.clients[client]
            .items
            .insert(seq, Item { mark, text: text.clone(), other: None, answer: None, open: false, call, cause });
        self.counts.items += 1;
        if self.clients[client].welcomed {
            self.up(client, text, Note::Publish(seq));
        }
        seq
    }

    /// Sends a publish once more, answered or not.
    pub(crate) fn repeat(&mut self, client: usize) {
        if let Some(seq) = self.any_item(client, |_| true) {
            let item = self.clients[client].items.get_mut(&seq).expect("it is there");
            item.answer = None;
            let text = item.text.clone();
            self.up(client, text, Note::Publish(seq));
        }
    }

    /// Says goodbye, and comes back later.
    pub(crate) fn bye(&mut self, client: usize) {
        if self.clients[client].welcomed {
            self.up(client, json!({"op": "bye"}).to_string(), Note::Other);
            self.clients[client].welcomed = false;
        }
    }

    /// Gives a stored publish's number to something else.
    pub(crate) fn use_twice(&mut self, client: usize) {
        let stored = |item: &Item| item.answer == Some(Answer::Published) && item.text.contains("\"t.x\"");
        if let Some(seq) = self.any_item(client, stored) {
            let frame = json!({"op": "publish", "seq": seq, "event": {"type": "XEvent"},
                "payload": format!("other:{client}:{seq}"), "routing": {"topic": "t.x"}});
            let text = frame.to_string();
            self.clients[client].items.get_mut(&seq).expect("it is there").other = Some(text.clone());
            self.up(client, text, Note::Publish(seq));
        }
    }

    /// Sends the next two the wrong way round.
    pub(crate) fn swap(&mut self, client: usize) {
        if !self.clients[client].welcomed {
            return;
        }
        let sent = self.clients[client].conn.take();
        let first = self.publish(client, Kind::Topic);
        let second = self.publish(client, Kind::Topic);
        self.clients[client].conn = sent;
        for seq in [second, first] {
            let text = self.clients[client].items[&seq].text.clone();
            self.up(client, text, Note::Publish(seq));
        }
    }

    fn any_item(&mut self, client: usize, wanted: impl Fn(&Item) -> bool) -> Option<u64> {
        if !self.clients[client].welcomed {
            return None;
        }
        let fit = self.clients[client].items.iter().filter(|(_, item)| wanted(item));
        let seqs: Vec<_> = fit.map(|(seq, _)| *seq).collect();
        (!seqs.is_empty()).then(|| *self.random.pick(&seqs))
    }

    fn plan_resend(&mut self, client: usize) {
        if !self.clients[client].resend_planned {
            self.clients[client].resend_planned = true;
            let after = self.random.between(5, 150);
            self.later(after, Happening::Resend(client));
        }
    }

    pub(crate) fn resend_due(&mut self, client: usize) {
        self.clients[client].resend_planned = false;
        let all = self.clients[client].resends_all;
        self.resend(client, all);
    }

    fn resend(&mut self, client: usize, all: bool) {
        if !self.clients[client].welcomed {
            return;
        }
        let mut texts = Vec::new();
        for (seq, item) in &mut self.clients[client].items {
            if item.answer.is_none() && (all || item.open) {
                texts.push((*seq, item.text.clone()));
                item.open = false;
            }
            texts.extend(item.other.clone().map(|text| (*seq, text)));
        }
        for (seq, text) in texts {
            self.up(client, text, Note::Publish(seq));
        }
    }

    // === told ===

    pub(crate) fn told(&mut self, client: usize, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome(welcome) => self.welcomed(client, &welcome),
            ServerFrame::Published(published) => self.published(client, &published),
            ServerFrame::Rejected(rejected) => self.rejected(client, &rejected),
            ServerFrame::Subscribed { sub } => self.stands(client, &sub),
            ServerFrame::Error(error) => self.error(client, &error),
            ServerFrame::Deliver(deliver) => self.work_came(client, &deliver),
            ServerFrame::Reply(reply) => self.reply_came(client, reply),
            ServerFrame::Settled(settled) => {
                self.counts.confirmed += settled.deliveries.len();
                settled.deliveries.iter().for_each(|delivery| self.done(client, delivery));
            }
            ServerFrame::Gone(gone) => {
                self.counts.gone += 1;
                self.done(client, &gone.delivery);
            }
            ServerFrame::Cancelled { delivery } => self.done(client, &delivery),
            ServerFrame::Goaway { .. } => {
                if self.random.chance(50) {
                    self.lose(client);
                }
            }
            ServerFrame::Unsubscribed { .. } | ServerFrame::Level { .. } | ServerFrame::Gap(_) => {}
        }
    }

    fn welcomed(&mut self, client: usize, welcome: &Welcome) {
        let this = &mut self.clients[client];
        if !welcome.resumed {
            let before = this.resume.unwrap_or_default();
            this.past.extend(std::mem::take(&mut this.jobs).into_keys().map(|delivery| (delivery, before)));
            this.subs.clear();
        }
        this.resume = Some(welcome.session.parse().expect("the number of a session"));
        this.welcomed = true;
        let wanted: Vec<_> =
            this.wanted.iter().filter(|sub| this.subs.get(*sub) != Some(&Sub::Stands)).copied().collect();
        wanted.into_iter().for_each(|sub| self.subscribe(client, sub));
        self.resend(client, true);
    }

    fn published(&mut self, client: usize, published: &Published) {
        let Some(item) = self.clients[client].items.get_mut(&published.seq) else { return };
        item.answer = Some(Answer::Published);
        item.open = false;
        let cause = item.cause.clone();
        self.answered_for(client, published.seq, cause);
    }

    fn rejected(&mut self, client: usize, rejected: &Rejected) {
        let code = rejected.code.expect("a refusal has a code");
        if let Some(delivery) = &rejected.delivery {
            return self.verdict_refused(client, delivery, code);
        }
        let Some(seq) = rejected.seq else { return };
        let Some(item) = self.clients[client].items.get_mut(&seq) else { return };
        if code.leaves_seq_open() {
            self.counts.told_open += 1;
            if item.other.is_none() {
                item.answer = None;
                item.open = true;
            }
            return self.plan_resend(client);
        }
        if code == Code::DuplicateSeq {
            item.other = None;
            return;
        }
        item.answer = Some(Answer::Refused(code));
        let cause = item.cause.clone();
        self.answered_for(client, seq, cause);
    }

    // === subscriptions ===

    pub(crate) fn subscribe(&mut self, client: usize, sub: &'static str) {
        self.clients[client].wanted.insert(sub);
        if !self.clients[client].welcomed {
            return;
        }
        self.clients[client].subs.insert(sub, Sub::Asked);
        let credit = self.settings.credit;
        let mut frame = json!({"op": "subscribe", "sub": sub, "topics": ["t.*"], "credit": credit});
        if sub == "g" {
            frame["group"] = json!("g");
            frame["from"] = json!("start");
        }
        self.up(client, frame.to_string(), Note::Subscribe(sub.to_owned()));
    }

    pub(crate) fn unsubscribe(&mut self, client: usize, sub: &'static str) {
        if self.clients[client].subs.get(sub) == Some(&Sub::Stands) && self.clients[client].welcomed {
            self.clients[client].subs.remove(sub);
            self.up(client, json!({"op": "unsubscribe", "sub": sub}).to_string(), Note::Other);
            self.subscribe(client, sub);
        }
    }

    pub(crate) fn more_credit(&mut self, client: usize, sub: &'static str) {
        if self.clients[client].welcomed && (sub.is_empty() || self.clients[client].subs.contains_key(sub)) {
            let add = self.random.between(0, 2) as u32;
            let text = json!({"op": "credit", "sub": sub, "add": add}).to_string();
            self.up(client, text, Note::Credit(sub.to_owned(), add));
        }
    }

    fn stands(&mut self, client: usize, sub: &str) {
        if let Some(state) = self.clients[client].subs.get_mut(sub) {
            *state = Sub::Stands;
        }
    }

    /// "Taken" is what a repeated `subscribe` hears: the first one has come.
    fn error(&mut self, client: usize, error: &ErrorFrame) {
        if error.op_ref.as_deref() == Some("subscribe")
            && let Some(sub) = &error.sub
        {
            self.stands(client, sub);
        }
    }
}
