//! What an agent does with a delivery: publishes on its behalf, then says a
//! verdict, again where it has to.

use std::collections::BTreeSet;

use handbell_protocol::{
    Code,
    frame::{Deliver, Reply},
};
use serde_json::{Value, json};

use super::{Happening, World, book::Note};

/// A delivery in an agent's hands.
pub(crate) struct Job {
    /// The session that handed it out.
    sess: usize,
    event: String,
    receiver: String,
    is_call: bool,
    is_reply: bool,
    attempt: u32,
    /// Publishes on its behalf that are still to be made, and that are unanswered.
    to_publish: u64,
    waits: BTreeSet<u64>,
    /// What was said last.
    said: Option<(Value, Vec<String>)>,
    /// An `ack` with outputs was refused for good.
    no_outputs: bool,
}

/// What a verdict says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Ack,
    Nack,
    Reject,
    Release,
}

impl World {
    pub(crate) fn work_came(&mut self, client: usize, deliver: &Deliver) {
        self.counts.delivered += 1;
        if let Some(job) = self.clients[client].jobs.get(&deliver.delivery) {
            if job.said.is_some() {
                self.say_again(client, &deliver.delivery);
            }
            return;
        }
        let event = deliver.envelope.event.id.clone();
        let receiver = match (deliver.sub.as_str(), &deliver.envelope.routing.to) {
            ("g", _) => "g".to_owned(),
            ("", Some(to)) if to.to_string().starts_with("pool:") => to.to_string(),
            ("", _) => self.clients[client].name.to_string(),
            (sub, _) => format!("{}~{sub}", self.clients[client].name),
        };
        let job = Job {
            sess: self.clients[client].resume.expect("it was welcomed"),
            to_publish: [0, 0, 0, 1, 2][(chance_of(&event) % 5) as usize],
            event,
            receiver,
            is_call: deliver.call.is_some(),
            is_reply: false,
            attempt: deliver.attempt,
            waits: BTreeSet::new(),
            said: None,
            no_outputs: false,
        };
        self.take(client, deliver.delivery.clone(), job);
    }

    pub(crate) fn reply_came(&mut self, client: usize, reply: Reply) {
        self.counts.replies += 1;
        *self.clients[client].replies.entry(reply.call).or_default() += 1;
        let known = self.clients[client].jobs.contains_key(&reply.delivery);
        let job = Job {
            sess: self.clients[client].resume.expect("it was welcomed"),
            to_publish: 0,
            event: String::new(),
            receiver: String::new(),
            is_call: false,
            is_reply: true,
            attempt: 1,
            waits: BTreeSet::new(),
            said: None,
            no_outputs: false,
        };
        if known {
            return self.say_again(client, &reply.delivery);
        }
        self.take(client, reply.delivery, job);
    }

    fn take(&mut self, client: usize, delivery: String, job: Job) {
        self.clients[client].jobs.insert(delivery.clone(), job);
        let slow = self.random.chance(15);
        let after = self.random.between(1, if slow { 1_500 } else { 80 });
        self.later(after, Happening::Work(client, delivery));
    }

    pub(crate) fn done(&mut self, client: usize, delivery: &str) {
        if let Some(job) = self.clients[client].jobs.remove(delivery) {
            self.clients[client].past.push((delivery.to_owned(), job.sess));
        }
    }

    /// A publish on behalf of a delivery was answered.
    pub(crate) fn answered_for(&mut self, client: usize, seq: u64, cause: Option<String>) {
        let Some(delivery) = cause else { return };
        if let Some(job) = self.clients[client].jobs.get_mut(&delivery) {
            job.waits.remove(&seq);
            self.later(1, Happening::Work(client, delivery));
        }
    }

    /// Goes on with a delivery: one publish at a time, then the verdict.
    pub(crate) fn work_on(&mut self, client: usize, delivery: &str) {
        if !self.clients[client].welcomed {
            return self.later(50, Happening::Work(client, delivery.to_owned()));
        }
        let (hasty, next) = (self.clients[client].hasty, self.clients[client].items.len() as u64 + 1);
        let Some(job) = self.clients[client].jobs.get_mut(delivery) else { return };
        if !job.waits.is_empty() || job.said.is_some() {
            return;
        }
        if hasty && !job.is_reply {
            let behind = std::mem::take(&mut job.to_publish);
            self.decide(client, delivery);
            for n in 0..behind {
                self.publish_for(client, delivery, n);
            }
        } else if job.to_publish > 0 {
            job.to_publish -= 1;
            let n = job.to_publish;
            job.waits.insert(next);
            self.publish_for(client, delivery, n);
        } else {
            self.decide(client, delivery);
        }
    }

    fn publish_for(&mut self, client: usize, delivery: &str, n: u64) {
        let seq = self.clients[client].items.len() as u64 + 1;
        let Some(job) = self.clients[client].jobs.get(delivery) else { return };
        let hasty = if self.clients[client].hasty { "hasty" } else { "" };
        let mark = format!("o{hasty}|{}|{}|pub{n}", job.event, job.receiver);
        let frame = json!({"op": "publish", "seq": seq, "event": {"type": "OEvent"}, "payload": mark,
            "routing": {"topic": "o.x"}, "cause": delivery});
        self.new_item(client, seq, mark, frame, None, Some(delivery.to_owned()));
    }

    fn decide(&mut self, client: usize, delivery: &str) {
        let job = &self.clients[client].jobs[delivery];
        let (is_call, is_reply, tired) = (job.is_call, job.is_reply, job.attempt > 3 || self.calm);
        let confirm = self.random.chance(60);
        let choice = if tired || is_reply { 0 } else { self.random.below(20) };
        let mut frame = match choice {
            0..=12 if is_call && self.random.chance(70) => {
                json!({"op": "respond", "delivery": delivery, "payload": format!("r|{delivery}")})
            }
            13 | 14 => json!({"op": "nack", "delivery": delivery, "class": "temporary_failure", "delay": "150ms"}),
            15 => json!({"op": "reject", "delivery": delivery, "reason": "no"}),
            16 | 17 => json!({"op": "release", "deliveries": [delivery]}),
            // Held until it is revoked, or until the end.
            18 => return self.later(6_000, Happening::Work(client, delivery.to_owned())),
            _ => json!({"op": "ack", "deliveries": [delivery]}),
        };
        frame["confirm"] = json!(confirm);
        if choice == 12 {
            self.up(client, json!({"op": "extend", "delivery": delivery, "for": "30s"}).to_string(), Note::Other);
        }
        let outputs =
            if frame["op"] == "ack" && !is_reply { self.outputs(client, delivery, &mut frame) } else { vec![] };
        self.say(client, delivery, frame, outputs);
    }

    /// Adds an ack's outputs, the same ones for each run of a handler.
    fn outputs(&mut self, client: usize, delivery: &str, frame: &mut Value) -> Vec<String> {
        let job = &self.clients[client].jobs[delivery];
        let chance = chance_of(&job.event) / 5;
        if job.no_outputs {
            return vec![];
        }
        let too_large = chance.is_multiple_of(11);
        let hasty = if self.clients[client].hasty { "hasty" } else { "" };
        let first = if too_large { "never" } else { "o" };
        let marks: Vec<String> =
            (0..chance % 4).map(|n| format!("{first}{hasty}|{}|{}|ack{n}", job.event, job.receiver)).collect();
        let mut publish: Vec<Value> = marks
            .iter()
            .map(|mark| json!({"event": {"type": "OEvent"}, "payload": mark, "routing": {"topic": "o.x"}}))
            .collect();
        if too_large && let Some(last) = publish.last_mut() {
            last["payload"] = json!(format!("never {}", "x".repeat(400)));
        }
        if !publish.is_empty() {
            frame["publish"] = json!(publish);
        }
        marks
    }

    fn say(&mut self, client: usize, delivery: &str, frame: Value, outputs: Vec<String>) {
        let Some(job) = self.clients[client].jobs.get_mut(delivery) else { return };
        job.said = Some((frame.clone(), outputs.clone()));
        let note = note(&frame, vec![(delivery.to_owned(), job.sess)], outputs);
        let twice = self.random.chance(self.settings.repeats);
        if twice {
            self.up(client, frame.to_string(), note.clone());
        }
        self.up(client, frame.to_string(), note);
    }

    fn say_again(&mut self, client: usize, delivery: &str) {
        if let Some((frame, outputs)) = self.clients[client].jobs.get(delivery).and_then(|job| job.said.clone()) {
            self.say(client, delivery, frame, outputs);
        }
    }

    /// The broker couldn't store what the verdict needs, or never will.
    pub(crate) fn verdict_refused(&mut self, client: usize, delivery: &str, code: Code) {
        let Some(job) = self.clients[client].jobs.get_mut(delivery) else { return };
        if code.leaves_seq_open() {
            self.counts.told_open += 1;
        } else {
            job.no_outputs = true;
        }
        let said = job.said.take();
        let after = self.random.between(5, 120);
        match said {
            Some((frame, outputs)) if code.leaves_seq_open() => self.say(client, delivery, frame, outputs),
            _ => self.later(after, Happening::Work(client, delivery.to_owned())),
        }
    }

    /// Says a verdict on something of before: it must have no effect.
    pub(crate) fn say_something_stale(&mut self, client: usize) {
        if self.clients[client].past.is_empty() || !self.clients[client].welcomed {
            return;
        }
        let stale = self.random.pick(&self.clients[client].past).clone();
        let op = *self.random.pick(&["ack", "release"]);
        let frame = json!({"op": op, "deliveries": [stale.0], "confirm": true});
        let note = note(&frame, vec![stale], vec![]);
        self.up(client, frame.to_string(), note);
    }

    pub(crate) fn cancel_a_call(&mut self, client: usize) {
        let this = &self.clients[client];
        let open = this.items.values().filter_map(|item| item.call.clone());
        let open: Vec<_> = open.filter(|call| !this.replies.contains_key(call)).collect();
        if let Some(call) = open.last().filter(|_| this.welcomed) {
            self.up(client, json!({"op": "cancel", "call": call}).to_string(), Note::Other);
        }
    }
}

fn note(frame: &Value, named: Vec<(String, usize)>, outputs: Vec<String>) -> Note {
    let says = match frame["op"].as_str() {
        Some("nack") => Says::Nack,
        Some("reject") => Says::Reject,
        Some("release") => Says::Release,
        _ => Says::Ack,
    };
    Note::Verdict { named, says, outputs }
}

/// What each run of a handler draws alike.
fn chance_of(event: &str) -> u64 {
    event.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))) >> 3
}
