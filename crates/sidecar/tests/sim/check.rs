//! The checker: what must hold at each effect of a session.

use std::sync::Arc;

use handbell_backend::{Outgoing, Record, header};
use handbell_delivery::{ConsumerKey, Token, Verdict};
use handbell_protocol::frame::{Deliver, Published, Rejected, Reply, ReplyStatus, ServerFrame, Settled};
use handbell_sidecar::session::{DIRECT, Effect, Join, Ticket};

use super::{
    World,
    book::{Given, Handed, Heard, Note, Stage, SubBook},
    broker,
    handler::Says,
};

impl World {
    pub(crate) fn check_effect(&mut self, sess: usize, heard: &Heard, effect: &Effect) {
        let problem = match effect {
            Effect::Publish(ticket, records) => self.problem_of_publish(sess, heard, *ticket, &records[0]),
            Effect::Join(key, join) => self.note_join(sess, heard, *key, join),
            Effect::Settle(key, verdicts) => {
                verdicts.iter().find_map(|(token, verdict)| self.problem_of_settle(sess, *key, *token, verdict))
            }
            Effect::Leave(key, _) => {
                let book = &mut self.sessions[sess].book;
                book.subs.remove(key);
                book.given.values_mut().filter(|given| given.key == *key).for_each(|given| given.stage = Stage::Over);
                None
            }
            Effect::Close(1000, _) if !self.sessions[sess].book.tickets.is_empty() => {
                Some("it says goodbye before the broker has answered".into())
            }
            Effect::Send(frame) => self.problem_of_frame(sess, heard, frame),
            _ => None,
        };
        if let Some(problem) = problem {
            self.violation(format!("session {sess}: {problem}"));
        }
    }

    // === publishing ===

    fn problem_of_publish(
        &mut self,
        sess: usize,
        heard: &Heard,
        ticket: Ticket,
        outgoing: &Outgoing,
    ) -> Option<String> {
        let client = self.sessions[sess].client;
        let mark = broker::mark(outgoing);
        let seq = match heard {
            Heard::Frame(Note::Publish(seq)) => Some(*seq),
            // A request that waited for somebody to be there.
            _ if mark.starts_with("p:") => mark.rsplit(':').next().and_then(|seq| seq.parse().ok()),
            _ => None,
        };
        let window = self.settings.window;
        let source = &outgoing.envelope.event.source;
        let book = &mut self.sessions[sess].book;
        let problem = if *source != self.clients[client].name.as_str() {
            Some(format!("{mark} is published as {source}"))
        } else if let Some(seq) = seq {
            let is_call = self.clients[client].items[&seq].call.is_some();
            let lower = book.open.first().copied().filter(|open| *open < seq && !is_call);
            book.open.remove(&seq);
            if book.in_flight().count() >= window {
                Some(format!("more than {window} publishes are unanswered"))
            } else {
                lower.map(|lower| format!("seq {seq} is handed over while {lower} is open"))
            }
        } else {
            None
        };
        self.sessions[sess].book.tickets.insert(ticket, Handed { seq, mark });
        problem
    }

    /// What is stored at all, and how often.
    pub(crate) fn check_stored(&mut self, record: &Arc<Record>) {
        let mark = broker::mark_of(&record.envelope, record.headers.get(header::STATUS));
        if mark.starts_with("never") || mark.starts_with("other:") || mark.contains("refused") {
            self.violation(format!("{mark} is stored"));
        }
        let once = ["p:", "o|", "answer|"].iter().any(|class| mark.starts_with(class));
        if once && self.broker.count(&mark) > 1 {
            self.violation(format!("{mark} is stored twice"));
        }
    }

    fn problem_of_published(&mut self, sess: usize, published: &Published) -> Option<String> {
        let Published { seq, id, position, duplicate } = published;
        let client = self.sessions[sess].client;
        if !self.sessions[sess].book.acked.contains(seq) {
            return Some(format!("seq {seq} is told as published before the broker's answer"));
        }
        let problem = self.problem_of_stored(id, position);
        if problem.is_some() {
            return problem;
        }
        let item = &self.clients[client].items[seq];
        let told = (id.clone(), position.clone());
        if let Some(cause) = item.cause.clone() {
            let mark = item.mark.clone();
            if let Some(problem) = self.note_output(sess, cause, id, mark) {
                return Some(problem);
            }
        } else if self.broker.at(position).is_some_and(|record| broker::mark_of(&record.envelope, None) != item.mark) {
            return Some(format!("seq {seq} is told the place of something else"));
        }
        let first = self.first_told.entry((client, *seq)).or_insert_with(|| told.clone());
        if *first != told {
            return Some(format!("seq {seq} is told {told:?}, and was told {first:?} before"));
        }
        let new = self.told_new.entry((client, *seq)).or_default();
        *new += usize::from(!duplicate);
        (*new > 1).then(|| format!("seq {seq} is told twice as stored now"))
    }

    fn problem_of_stored(&self, id: &str, position: &str) -> Option<String> {
        match self.broker.at(position) {
            None => Some(format!("{id} is told as stored at {position}, where nothing is")),
            Some(record) => (record.envelope.event.id != id).then(|| format!("{id} does not lie at {position}")),
        }
    }

    /// Two outputs of one delivery never share an ID.
    fn note_output(&mut self, sess: usize, delivery: String, id: &str, mark: String) -> Option<String> {
        let ids = &mut self.sessions[sess].book.output_ids;
        let known = ids.entry((delivery, id.to_owned())).or_insert_with(|| mark.clone());
        (*known != mark).then(|| format!("{mark} is told the ID of {known}: it isn't stored"))
    }

    fn note_rejected(&mut self, sess: usize, rejected: &Rejected) -> Option<String> {
        let (seq, code) = (rejected.seq?, rejected.code?);
        let book = &mut self.sessions[sess].book;
        if code.leaves_seq_open() && !book.acked.contains(&seq) {
            book.open.insert(seq);
        } else {
            book.open.remove(&seq);
        }
        None
    }

    // === consuming ===

    fn note_join(&mut self, sess: usize, heard: &Heard, key: ConsumerKey, join: &Join) -> Option<String> {
        let name = match heard {
            Heard::Frame(Note::Subscribe(sub)) => sub.clone(),
            _ => String::new(),
        };
        let (Join::Direct { credit, .. } | Join::Group { credit, .. } | Join::Fanout { credit, .. }) = join;
        let sub = SubBook { name, ceiling: self.settings.credit, joined: false, told: key == DIRECT };
        self.sessions[sess].book.subs.insert(key, sub);
        (*credit != self.settings.credit).then(|| format!("joins with a ceiling of {credit}"))
    }

    fn problem_of_settle(&mut self, sess: usize, key: ConsumerKey, token: Token, verdict: &Verdict) -> Option<String> {
        let wall = self.wall(self.sessions[sess].process);
        let book = &mut self.sessions[sess].book;
        let Some(given) = book.given.get_mut(&token) else {
            return Some(format!("settles {token:?} of another session"));
        };
        let (stage, given) = (std::mem::replace(&mut given.stage, Stage::Settling), given.clone());
        let what = format!("{verdict:?} on {:?} ({}, attempt {})", given.delivery, given.event, given.attempt);
        if given.key != key || stage == Stage::Settling || stage == Stage::Settled {
            return Some(format!("{what}: settled twice"));
        }
        let expired = given.deadline.is_some_and(|deadline| deadline < wall);
        let said = |says: Says| given.said.iter().any(|(said, _)| *said == says);
        let stored = |marks: &[String]| marks.iter().all(|mark| book.stored.contains(mark));
        let untold_answer = given.answers.is_some() && given.delivery.is_none();
        let allowed = match verdict {
            Verdict::Ack if untold_answer || given.cancelled => true,
            Verdict::Ack | Verdict::Reject { .. } if given.deadline.is_some() && !expired => {
                (said(Says::Ack) || said(Says::Reject)) && book.stored.contains(&format!("answer|{}", given.event))
            }
            Verdict::Ack => {
                given.said.iter().any(|(says, marks)| *says == Says::Ack && stored(marks))
                    || expired && said(Says::Reject)
            }
            Verdict::Nack { .. } => said(Says::Nack),
            Verdict::Reject { .. } => said(Says::Reject),
            Verdict::Release => said(Says::Release) || book.draining || expired && !given.said.is_empty(),
        };
        (!allowed).then(|| format!("{what}: the agent has said {:?}, stored is {:?}", given.said, book.stored))
    }

    /// Before a hand-out: whether the session lets it.
    pub(crate) fn check_hand_out(&mut self, sess: usize, key: ConsumerKey) {
        let book = &self.sessions[sess].book;
        let joined = book.subs.get(&key).is_some_and(|sub| sub.joined);
        if joined && (book.lost || book.draining) {
            self.violation(format!("session {sess}: work is handed to it while it can't take any"));
        }
    }

    // === frames ===

    fn problem_of_frame(&mut self, sess: usize, heard: &Heard, frame: &ServerFrame) -> Option<String> {
        if self.sessions[sess].book.lost {
            return Some(format!("writes without a socket: {frame:?}"));
        }
        match frame {
            ServerFrame::Published(published) => self.problem_of_published(sess, published),
            ServerFrame::Rejected(rejected) => self.note_rejected(sess, rejected),
            ServerFrame::Subscribed { sub } => {
                let book = &mut self.sessions[sess].book;
                let key = book.key_of(sub)?;
                let sub = book.subs.get_mut(&key)?;
                sub.told = true;
                (!sub.joined).then(|| "subscribed is told before the consumer stands".into())
            }
            ServerFrame::Deliver(deliver) => self.problem_of_deliver(sess, deliver),
            ServerFrame::Reply(reply) => self.problem_of_reply(sess, reply),
            ServerFrame::Settled(settled) => self.problem_of_settled(sess, settled),
            ServerFrame::Gone(gone) => self.problem_of_gone(sess, heard, &gone.delivery),
            _ => None,
        }
    }

    fn problem_of_deliver(&mut self, sess: usize, deliver: &Deliver) -> Option<String> {
        let book = &mut self.sessions[sess].book;
        let what = format!("deliver {} ({})", deliver.delivery, deliver.envelope.event.id);
        let Some(key) = book.key_of(&deliver.sub) else { return Some(format!("{what} for no subscription")) };
        if !book.subs[&key].told {
            return Some(format!("{what} before subscribed"));
        }
        book.sent_now.insert(deliver.delivery.clone());
        let same = |given: &Given| {
            (given.key, given.attempt) == (key, deliver.attempt) && given.event == deliver.envelope.event.id
        };
        if let Some(given) = book.named(&deliver.delivery) {
            let again = same(given) && given.stage == Stage::Out;
            return (!again).then(|| format!("{what} is told again, and is {given:?}"));
        }
        if book.draining {
            return Some(format!("{what} while draining"));
        }
        let mut fresh = book.given.iter_mut().filter(|(_, given)| given.delivery.is_none() && same(given));
        let Some((token, given)) = fresh.find(|(_, given)| given.stage == Stage::Out) else {
            return Some(format!("{what} that it was not given"));
        };
        given.delivery = Some(deliver.delivery.clone());
        book.by_delivery.insert(deliver.delivery.clone(), Some(*token));
        None
    }

    fn problem_of_reply(&mut self, sess: usize, reply: &Reply) -> Option<String> {
        let client = self.sessions[sess].client;
        let book = &mut self.sessions[sess].book;
        book.sent_now.insert(reply.delivery.clone());
        let call = &reply.call;
        let first = book.replies.entry(call.clone()).or_insert_with(|| reply.delivery.clone());
        if *first != reply.delivery {
            return Some(format!("call {call} has a second reply: {reply:?}"));
        }
        if !book.by_delivery.contains_key(&reply.delivery) {
            let fits = |given: &Given| given.answers.as_ref() == Some(call) && given.delivery.is_none();
            let answer = book.given.iter_mut().find(|(_, given)| given.stage == Stage::Out && fits(given));
            let token = answer.map(|(token, given)| {
                given.delivery = Some(reply.delivery.clone());
                *token
            });
            book.by_delivery.insert(reply.delivery.clone(), token);
        }
        let items = &self.clients[client].items;
        let Some((seq, _)) = items.iter().find(|(_, item)| item.call.as_ref() == Some(call)) else {
            return Some(format!("nobody made call {call}"));
        };
        let unanswered = book.in_flight().any(|one| one == *seq) && !book.doubtful.contains(seq);
        let asked = matches!(reply.status, ReplyStatus::Cancelled);
        (unanswered && !asked).then(|| format!("the reply of {call} comes before its published"))
    }

    fn problem_of_settled(&mut self, sess: usize, settled: &Settled) -> Option<String> {
        for delivery in &settled.deliveries {
            let event = self.sessions[sess].book.named(delivery).map(|given| given.event.clone());
            let answered = event.is_some_and(|event| self.broker.has_answer(&event));
            let Some(given) = self.sessions[sess].book.named(delivery) else { continue };
            // A reply may be the sidecar's own, which lies in no log. An answer
            // that was stored first counts, although the lease ended meanwhile.
            let over = given.stage == Stage::Over && given.deadline.is_some() && answered;
            let durable = given.stage == Stage::Settled || given.answers.is_some() || over;
            if !durable || std::mem::replace(&mut given.told_settled, true) {
                return Some(format!("{delivery} is told as settled, and is {given:?}"));
            }
        }
        let published = settled.published.as_ref()?;
        let delivery = settled.deliveries[0].clone();
        let given = self.sessions[sess].book.named(&delivery)?;
        let fits = |(says, marks): &&(Says, Vec<String>)| *says == Says::Ack && marks.len() == published.len();
        let Some((_, marks)) = given.said.iter().find(fits).cloned() else {
            return Some(format!("{delivery} is settled with outputs that nobody gave: {published:?}"));
        };
        for (output, mark) in published.iter().zip(marks) {
            let wrong = self.problem_of_stored(&output.id, &output.position);
            let wrong = wrong.or_else(|| self.note_output(sess, delivery.clone(), &output.id, mark));
            if wrong.is_some() {
                return wrong;
            }
        }
        None
    }

    fn problem_of_gone(&mut self, sess: usize, heard: &Heard, delivery: &str) -> Option<String> {
        let wall = self.wall(self.sessions[sess].process);
        let given = self.sessions[sess].book.named(delivery)?.clone();
        let expired = given.deadline.is_some_and(|deadline| deadline < wall);
        if given.stage == Stage::Out && given.said.len() < 2 && given.deadline.is_none() {
            return Some(format!("{delivery} is told as gone, and is {given:?}"));
        }
        // An answer that came late may be this one's own, in doubt before.
        let answers = |record: &&Arc<Record>| record.envelope.event.causation_id.as_ref() == Some(&given.event);
        let payload = format!("\"r|{delivery}\"");
        let own = self.broker.log.iter().filter(answers).any(|record| record.envelope.payload.as_str() == payload);
        let by_receipt = matches!(heard, Heard::Receipt(_, Ok(_)));
        (own && by_receipt && !expired && !given.cancelled && given.stage != Stage::Over)
            .then(|| format!("{delivery} is told as gone, and its answer is what the caller gets"))
    }

    // === after each input ===

    pub(crate) fn check_after(&mut self, sess: usize, heard: &Heard) {
        if self.sessions[sess].over {
            return;
        }
        let book = &self.sessions[sess].book;
        let mut problems = Vec::new();
        for (key, sub) in book.subs.iter().filter(|(_, sub)| sub.joined) {
            let due = if book.lost || book.draining { 0 } else { sub.ceiling };
            let ceiling = self.hub.consumers.get(&(sess, *key)).map(|consumer| consumer.ceiling);
            if ceiling.is_some_and(|ceiling| ceiling != due) {
                problems.push(format!("sub {:?} has a ceiling of {ceiling:?}, due is {due}", sub.name));
            }
        }
        if matches!(heard, Heard::Attached) {
            let held = book.given.values().filter(|given| given.stage == Stage::Out && given.said.is_empty());
            let joined = |given: &&Given| book.subs.get(&given.key).is_some_and(|sub| sub.joined);
            let told = |given: &Given| given.delivery.as_ref().is_some_and(|delivery| book.sent_now.contains(delivery));
            let work = held.filter(|given| given.answers.is_none() || given.delivery.is_some());
            let untold = work.filter(joined).filter(|given| !given.cancelled && !told(given));
            problems.extend(untold.map(|given| format!("{given:?} isn't told again after the resume")));
        }
        for problem in problems {
            self.violation(format!("session {sess}: {problem}"));
        }
    }
}
