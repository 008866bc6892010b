//! Requests from the caller's side: open calls, their deadlines and answers.

mod open;

use std::{sync::Arc, time::Duration};

use handbell_backend::{Headers, Outgoing, PublishError, Stored, header};
use handbell_delivery::{Answer, Call as Carried, ConsumerKey, Delivered, Verdict, inbox::CALLER_MEMBER};
use handbell_protocol::{
    Envelope, Json, Target, Timestamp,
    event::{Cause, Destination, Draft},
    frame::{Cancel, FrameError, Reply, ReplyStatus, Request, ServerFrame},
};

pub(super) use self::open::Calls;
use super::{
    DIRECT, Directory, Effect, Now, Session, Ticket,
    deliveries::{Frame, Lineage},
    fault,
    publish::Purpose,
};

/// How long a target may be unknown to `members` before nobody is there.
const PRESENCE_GRACE: Duration = Duration::from_millis(500);
/// How often it is looked for meanwhile.
const PRESENCE_LOOK: Duration = Duration::from_millis(50);
/// How long an answer that is stored already may take to come; how soon a
/// conclusion that the backend didn't take is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(250);
/// The longest default that travels with its request, in bytes.
const LONGEST_DEFAULT: usize = 4_096;

/// An open call.
#[derive(Debug)]
pub(super) struct Call {
    name: String,
    seq: u64,
    deadline: Duration,
    default: Option<Json>,
    /// When to look next; set when it begins.
    due: Duration,
    deadline_at: Timestamp,
    request: Option<Cause>,
    target: Option<Target>,
    published: bool,
    /// An answer that came before its `published`.
    early: Option<Delivered>,
    /// Nobody is there, and what was to be stored meanwhile.
    waiting: Option<Waiting>,
    end: End,
}

/// How a call ends without a responder's answer. The first answer that is
/// stored stands, so this one is stored like any other before it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not yet.
    Open,
    /// So, as soon as its request is stored.
    Wanted(Answer),
    /// That is being stored.
    Storing(Answer),
    /// Another answer was stored before and is on its way.
    Beaten(Answer),
}

#[derive(Debug)]
struct Waiting {
    until: Duration,
    look: Duration,
    ticket: Ticket,
    records: Vec<Outgoing>,
}

impl Waiting {
    /// Stored, but expired: nobody is to start it any more.
    fn for_the_record(mut self, now: Now) -> Effect {
        for record in &mut self.records {
            record.headers.set(header::EXPIRY, now.wall.to_string());
            record.headers.remove(header::CALL);
        }
        Effect::Publish(self.ticket, self.records)
    }
}

impl Call {
    fn of(request: &Request) -> Self {
        Self {
            name: request.call.clone(),
            seq: request.publish.seq,
            deadline: request.deadline,
            default: request.default.clone(),
            due: Duration::ZERO,
            deadline_at: Timestamp::default(),
            request: None,
            target: None,
            published: false,
            early: None,
            waiting: None,
            end: End::Open,
        }
    }

    /// Writes the call beside its event.
    pub(super) fn begin(&mut self, envelope: &Envelope, headers: &mut Headers, now: Now, producer: &str, member: &str) {
        if let Some(default) = self.default.as_ref().and_then(portable) {
            headers.set(header::DEFAULT, default);
        }
        self.due = now.mono + self.deadline;
        self.deadline_at = now.wall.after(self.deadline);
        self.request = Some(Cause::of(envelope));
        self.target = envelope.routing.to.clone();
        headers.set(header::CALL, &*self.name);
        headers.set(header::REPLY_TO, &*envelope.event.source);
        headers.set(header::CALLER, producer);
        headers.set(CALLER_MEMBER, member);
        headers.set(header::EXPIRY, self.deadline_at.to_string());
    }

    fn wakes_at(&self) -> Duration {
        self.waiting.as_ref().map_or(self.due, |waiting| waiting.look)
    }
}

impl Session {
    pub(super) fn request(&mut self, now: Now, directory: &dyn Directory, request: Request) {
        let mut call = Call::of(&request);
        match request.publish.draft.as_ref().map(Draft::destination) {
            Ok(Destination::To(Target::All)) => {
                let reason = "a request has one responder: ask an agent, a pool or a capability, or publish to all";
                let error = FrameError { seq: Some(call.seq), call: Some(call.name), ..fault("request", reason) };
                return self.bad_frame(error);
            }
            Ok(Destination::To(Target::Agent(agent))) if call.default.is_none() => {
                call.default = self.policy.default_replies.get(agent).cloned();
            }
            _ => {}
        }
        if self.calls.get(&call.name).is_some_and(|open| open.seq != call.seq) {
            let reason = format!("call {:?} is open already; name each open call differently", call.name);
            let error = FrameError { seq: Some(call.seq), call: Some(call.name), ..fault("request", reason) };
            return self.bad_frame(error);
        }
        self.admit(now, directory, request.publish, Some(call));
    }

    /// Opens the call, and stores its event once somebody is there to answer
    /// or has not been there for [`PRESENCE_GRACE`].
    pub(super) fn begin_call(
        &mut self,
        now: Now,
        directory: &dyn Directory,
        mut call: Call,
        ticket: Ticket,
        records: Vec<Outgoing>,
    ) {
        // Sent again after it was in doubt, and answered meanwhile.
        let closed = call.request.as_ref().is_some_and(|request| self.calls.was_closed(&request.id));
        if closed || call.target.as_ref().is_none_or(|target| directory.is_present(target)) {
            self.out.push(Effect::Publish(ticket, records));
        } else {
            let until = (now.mono + PRESENCE_GRACE).min(call.due);
            call.waiting = Some(Waiting { until, look: now.mono + PRESENCE_LOOK, ticket, records });
        }
        if !closed {
            self.calls.insert(call);
        }
    }

    pub(super) fn call_published(&mut self, now: Now, seq: u64) {
        let Some(call) = self.calls.of_seq(seq) else { return };
        call.published = true;
        let (early, end, name) = (call.early.take(), call.end, call.name.clone());
        if let Some(answer) = early {
            self.answered(now, answer);
        } else if let End::Wanted(how) = end {
            self.conclude(now, &name, how);
        }
    }

    /// Deadlines, and targets that have come or stay away.
    pub(super) fn calls_due(&mut self, now: Now, directory: &dyn Directory) {
        for name in self.calls.due(now) {
            let Some(call) = self.calls.get_mut(&name) else { continue };
            if let Some(waiting) = call.waiting.take() {
                let (nobody, effect) = look(waiting, call.target.as_ref(), now, directory);
                if nobody {
                    call.end = End::Wanted(Answer::NoResponders);
                }
                match effect {
                    Ok(publish) => self.out.push(publish),
                    Err(waiting) => call.waiting = Some(waiting),
                }
            } else if let End::Beaten(how) = call.end {
                self.close_call(&name, how);
            } else if call.published {
                let how = if let End::Wanted(how) | End::Storing(how) = call.end { how } else { Answer::Timeout };
                self.conclude(now, &name, how);
            } else {
                // The broker hasn't answered the publish: its answer comes first.
                call.due = now.mono + PRESENCE_LOOK;
            }
        }
    }

    /// Stores how a call ended, unless an answer is stored already.
    fn conclude(&mut self, now: Now, name: &str, how: Answer) {
        let Some(call) = self.calls.get_mut(name) else { return };
        call.due = now.mono + PATIENCE;
        let (Some(request), false) = (call.request.clone(), matches!(call.end, End::Storing(_))) else { return };
        call.end = End::Storing(how);
        let carried = Carried {
            name: call.name.clone(),
            caller: self.agent.clone(),
            deadline: call.deadline_at,
            producer: Some(self.producer_text.to_string()),
            member: Some(self.member.clone()),
            default: call.default.clone(),
        };
        let record = carried.conclusion(&request, how, self.bounds.partitions);
        let ticket = self.ticket(Purpose::Conclusion { call: name.into(), request: request.id.into() });
        self.out.push(Effect::Publish(ticket, vec![record]));
    }

    pub(super) fn conclusion_receipt(
        &mut self,
        now: Now,
        name: &str,
        request: &str,
        result: Result<Stored, PublishError>,
    ) {
        let of_request = |call: &&mut Call| call.request.as_ref().is_some_and(|cause| cause.id == request);
        let Some(call) = self.calls.get_mut(name).filter(of_request) else { return };
        let End::Storing(how) = call.end else { return };
        match result {
            Ok(Stored { duplicate: true, .. }) => {
                call.end = End::Beaten(how);
                call.due = now.mono + PATIENCE;
            }
            Err(error) if error.is_retryable() || error.is_in_doubt() => {
                call.end = End::Wanted(how);
                call.due = now.mono + AGAIN;
            }
            _ => {
                // Not before: until then its deadline is whoever's who holds it.
                if how == Answer::Cancelled {
                    self.out.push(Effect::Cancel(request.to_owned()));
                }
                self.close_call(name, how);
            }
        }
    }

    /// Ends a call without an answer from anybody.
    fn close_call(&mut self, name: &str, how: Answer) {
        let Some(call) = self.calls.remove(name) else { return };
        let default = call.default.filter(|_| how != Answer::Cancelled);
        let status = if default.is_some() { ReplyStatus::Default } else { status_of(how) };
        let payload = default.unwrap_or_default();
        let reply = Reply { call: call.name, delivery: String::new(), status, event: None, payload };
        if let Some(cause) = call.request {
            self.calls.note_closed(&cause.id);
            self.hand_reply(DIRECT, None, reply, cause);
        }
        if let Some(answer) = call.early {
            self.back_up(name, &answer);
        }
    }

    /// An answer has come for one of this agent's calls.
    pub(super) fn answered(&mut self, now: Now, answer: Delivered) {
        let headers = &answer.record.headers;
        let Some(name) = headers.get(header::CALL).map(ToOwned::to_owned) else {
            return self.drop_answer(&answer);
        };
        let Some(how) = Answer::of(&answer.record) else { return self.drop_answer(&answer) };
        let request = answer.record.envelope.event.causation_id.as_deref();
        let closed = request.is_some_and(|request| self.calls.was_closed(request));
        #[cfg(feature = "sabotage")]
        let closed = closed && !self.sabotaged(super::Sabotage::SecondReply);
        let ours = |call: &Call| call.request.as_ref().map(|cause| cause.id.as_str()) == request;
        match self.calls.get_mut(&name) {
            Some(call) if ours(call) && !call.published => {
                call.early = Some(answer);
                return;
            }
            // What this side, or whoever held the request, has stored at its end.
            Some(call) if ours(call) && !matches!(how, Answer::Ok | Answer::Error) => {
                self.close_call(&name, how);
                return self.back_up(&name, &answer);
            }
            Some(call) if ours(call) => {
                self.calls.remove(&name);
            }
            // The name was given again: this is the answer to the call before.
            Some(_) => return self.drop_answer(&answer),
            // Of a call that this session has closed: too late. Of one that it
            // never knew: made before a restart, so the agent still waits.
            None if closed => return self.back_up(&name, &answer),
            _ => {}
        }
        let expired = headers.get(header::EXPIRY).and_then(|text| handbell_protocol::Timestamp::parse(text).ok());
        if expired.is_some_and(|expiry| expiry < now.wall) {
            return self.drop_answer(&answer);
        }
        if let Some(request) = request {
            let request = request.to_owned();
            self.calls.note_closed(&request);
        }
        let envelope = &answer.record.envelope;
        let event = matches!(how, Answer::Ok | Answer::Error).then(|| envelope.event.clone());
        let status = status_of(how);
        let reply = Reply { call: name, delivery: String::new(), status, event, payload: envelope.payload.clone() };
        let cause = Cause::of(envelope);
        self.hand_reply(DIRECT, Some(answer.token), reply, cause);
    }

    /// A stored answer says what the agent was told already. While it has not
    /// acked that, the stored one stays, so that it can be told again after a
    /// crash of this sidecar.
    fn back_up(&mut self, call: &str, answer: &Delivered) {
        if !self.deliveries.adopt(call, answer.token) {
            self.drop_answer(answer);
        }
    }

    fn drop_answer(&mut self, answer: &Delivered) {
        self.out.push(Effect::Settle(DIRECT, vec![(answer.token, Verdict::Ack)]));
    }

    fn hand_reply(&mut self, key: ConsumerKey, token: Option<handbell_delivery::Token>, reply: Reply, cause: Cause) {
        let receiver: Arc<str> = self.agent.as_str().into();
        let lineage = Lineage { cause, receiver, next: 0 };
        let id = self.deliveries.hold(key, token, Frame::Reply(Box::new(reply)), lineage);
        if let Some(held) = self.deliveries.get(&id)
            && let Frame::Reply(reply) = &mut held.frame
        {
            reply.delivery = id.to_string();
            let reply = (**reply).clone();
            self.send(ServerFrame::Reply(reply));
        }
    }

    pub(super) fn cancel(&mut self, now: Now, cancel: Cancel) {
        let Some(call) = self.calls.get_mut(&cancel.call) else {
            let reason = format!("no call {:?} is open", cancel.call);
            return self.bad_frame(FrameError { call: Some(cancel.call), ..fault("cancel", reason) });
        };
        if let Some(waiting) = call.waiting.take() {
            self.out.push(waiting.for_the_record(now));
        }
        match (call.end, call.published) {
            (End::Open | End::Wanted(_), true) => self.conclude(now, &cancel.call, Answer::Cancelled),
            (End::Open | End::Wanted(_), false) => call.end = End::Wanted(Answer::Cancelled),
            // It is ending already.
            (End::Storing(_) | End::Beaten(_), _) => {}
        }
    }
}

fn status_of(how: Answer) -> ReplyStatus {
    match how {
        Answer::Ok => ReplyStatus::Ok,
        Answer::Error => ReplyStatus::Error,
        Answer::Timeout => ReplyStatus::Timeout,
        Answer::Default => ReplyStatus::Default,
        Answer::NoResponders => ReplyStatus::NoResponders,
        Answer::Cancelled => ReplyStatus::Cancelled,
    }
}

/// A default as a header's value, so that it can stand in where this session
/// is no more; one that is long stays here.
fn portable(default: &Json) -> Option<String> {
    let text = default.as_str();
    let fits = text.len() <= LONGEST_DEFAULT && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

/// Looks for a target once more: the publish that follows, or what still waits.
fn look(
    mut waiting: Waiting,
    target: Option<&Target>,
    now: Now,
    directory: &dyn Directory,
) -> (bool, Result<Effect, Waiting>) {
    if target.is_none_or(|target| directory.is_present(target)) {
        return (false, Ok(Effect::Publish(waiting.ticket, waiting.records)));
    }
    if now.mono < waiting.until {
        waiting.look = now.mono + PRESENCE_LOOK;
        return (false, Err(waiting));
    }
    (true, Ok(waiting.for_the_record(now)))
}
