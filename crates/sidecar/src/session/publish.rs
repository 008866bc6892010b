//! `publish`: an event is checked, completed, handed over and answered.

use std::sync::Arc;

use handbell_backend::{Dedup, Headers, Outgoing, PublishError, Stored};
use handbell_protocol::{
    Code, Envelope, Refusal,
    event::{Completion, Draft, id},
    frame::{Publish, Published, Request, ServerFrame},
};

use super::{
    Directory, Effect, Now, Session, Ticket,
    calls::Call,
    records::{Letter, records_of},
    window::{Admission, Sent},
};

/// What a receipt is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A `publish` or `request`.
    Publish {
        /// Its number.
        seq: u64,
    },
    /// An output of an `ack`.
    Output {
        /// Which `ack`.
        ack: u64,
        /// Which of its outputs.
        index: usize,
    },
    /// The answer to a request.
    Answer {
        /// The delivery that had the call.
        delivery: Box<str>,
    },
    /// How a call ended without a responder's answer.
    Conclusion {
        /// Its name.
        call: Box<str>,
        /// The request's event ID: a name may be given again.
        request: Box<str>,
    },
}

/// A publish, ready to be handed over.
pub(super) struct Prepared {
    pub(super) letter: Letter,
    /// Its number among the outputs of its cause.
    pub(super) output: Option<u64>,
}

impl Session {
    pub(super) fn publish(&mut self, now: Now, directory: &dyn Directory, publish: Publish) {
        let callback = publish.draft.as_ref().ok().and_then(Draft::callback).map(ToOwned::to_owned);
        match callback {
            Some(callback) => self.request(now, directory, Request::from_callback(publish, callback)),
            None => self.admit(now, directory, publish, None),
        }
    }

    /// Takes a publish, with the call that it makes if it is a request.
    pub(super) fn admit(&mut self, now: Now, directory: &dyn Directory, publish: Publish, call: Option<Call>) {
        let seq = publish.seq;
        let digest = publish.draft.as_ref().map_or(0, Draft::digest);
        let admission = self.window.admit(seq, digest);
        #[cfg(feature = "sabotage")]
        let admission = self.admit_sabotaged(admission);
        match admission {
            Admission::UnderWay => {}
            Admission::Stored { id, position } => {
                let position = position.to_string();
                self.send(ServerFrame::Published(Published { seq, id, position, duplicate: true }));
            }
            Admission::Refuse(refusal) => self.rejected_seq(seq, refusal),
            Admission::Hand(_)
                if call.as_ref().is_some_and(|call| self.calls.are_full(call, self.bounds.max_calls)) =>
            {
                let reason = format!("{} calls are open; wait for their answers", self.bounds.max_calls);
                let refusal = self.window.held_back(seq, digest, &reason);
                self.rejected_seq(seq, refusal);
            }
            Admission::Hand(earlier) => {
                let output = earlier.and_then(|sent| sent.output);
                if let Err(refusal) = self.hand_over(now, directory, publish, digest, output, call) {
                    self.window.ended(seq, digest, refusal.clone());
                    self.rejected_seq(seq, refusal);
                }
            }
        }
    }

    fn hand_over(
        &mut self,
        now: Now,
        directory: &dyn Directory,
        publish: Publish,
        digest: u64,
        output: Option<u64>,
        call: Option<Call>,
    ) -> Result<(), Refusal> {
        let seq = publish.seq;
        let dedup = Dedup { key: format!("{}/{seq}", self.producer_text), digest: Some(digest) };
        #[cfg(feature = "sabotage")]
        let dedup = self.dedup_sabotaged(dedup);
        let given = self.ids.of(seq);
        let cause = publish.cause.as_deref();
        let mut prepared = match &call {
            Some(_) => self.prepare_numbered(now, publish.draft?, given, dedup, cause)?,
            None => self.prepare(now, publish.draft?, given, dedup, cause, output)?,
        };
        self.window.handed(seq, Sent { digest, output: prepared.output });
        #[cfg(feature = "sabotage")]
        self.tell_published_early(seq, &prepared.letter.envelope);
        let ticket = self.ticket(Purpose::Publish { seq });
        if let Some(mut call) = call {
            call.begin(&prepared.letter.envelope, &mut prepared.letter.headers, now, &self.producer_text, &self.member);
            let records = self.records(prepared.letter, directory);
            self.begin_call(now, directory, call, ticket, records);
        } else {
            let records = self.records(prepared.letter, directory);
            self.out.push(Effect::Publish(ticket, records));
        }
        Ok(())
    }

    /// Checks and completes a draft. `output`: the number that an earlier try
    /// of the same publish was given among the outputs of its cause.
    pub(super) fn prepare(
        &mut self,
        now: Now,
        draft: Draft,
        given: String,
        dedup: Dedup,
        cause: Option<&str>,
        output: Option<u64>,
    ) -> Result<Prepared, Refusal> {
        let Some(cause) = cause else { return self.prepare_numbered(now, draft, given, dedup, None) };
        self.policy.may_publish(&self.agent, draft.destination())?;
        let lineage = self.deliveries.lineage(cause).ok_or_else(|| unknown_cause(cause))?;
        let n = output.unwrap_or(lineage.next);
        let derived = id::of_output(&lineage.cause.id, lineage.cause.at, &lineage.receiver, n);
        let known = lineage.cause.clone();
        let completion = Completion { source: &self.agent, id: derived.clone(), now: now.wall, cause: Some(&known) };
        let envelope = self.checked(draft.complete(completion)?)?;
        if let Some(lineage) = self.deliveries.lineage(cause) {
            lineage.next = lineage.next.max(n + 1);
        }
        let dedup = Dedup { key: format!("out/{derived}"), digest: None };
        Ok(Prepared { letter: Letter { envelope, headers: Headers::default(), dedup }, output: Some(n) })
    }

    /// Under the publish's own number. A request follows from its cause like an
    /// output, but isn't one: a handler that runs again asks again, since the
    /// first answer may be gone.
    fn prepare_numbered(
        &mut self,
        now: Now,
        draft: Draft,
        id: String,
        dedup: Dedup,
        cause: Option<&str>,
    ) -> Result<Prepared, Refusal> {
        self.policy.may_publish(&self.agent, draft.destination())?;
        let cause = match cause {
            Some(cause) => Some(self.deliveries.lineage(cause).ok_or_else(|| unknown_cause(cause))?.cause.clone()),
            None => None,
        };
        let completion = Completion { source: &self.agent, id, now: now.wall, cause: cause.as_ref() };
        let envelope = self.checked(draft.complete(completion)?)?;
        Ok(Prepared { letter: Letter { envelope, headers: Headers::default(), dedup }, output: None })
    }

    fn checked(&self, envelope: Envelope) -> Result<Arc<Envelope>, Refusal> {
        self.policy.check_payload(&envelope)?;
        let size = size_of(&envelope);
        if size > self.bounds.max_event {
            let max = self.bounds.max_event;
            let reason = format!(
                "the event has {size} bytes, at most {max} are taken; put large data elsewhere and send its address"
            );
            return Err(Refusal::new(Code::TooLarge, reason));
        }
        Ok(Arc::new(envelope))
    }

    pub(super) fn records(&self, letter: Letter, directory: &dyn Directory) -> Vec<Outgoing> {
        let to_all = matches!(letter.envelope.routing.to, Some(handbell_protocol::Target::All));
        let present = if to_all { directory.agents() } else { Vec::new() };
        records_of(letter, present, self.bounds.partitions)
    }

    pub(super) fn receipt(&mut self, now: Now, ticket: Ticket, result: Result<Stored, PublishError>) {
        match self.purposes.remove(&ticket) {
            Some(Purpose::Publish { seq }) => self.publish_receipt(now, seq, result),
            Some(Purpose::Output { ack, index }) => self.output_receipt(now, ack, index, result),
            Some(Purpose::Answer { delivery }) => self.answer_receipt(&delivery, result),
            Some(Purpose::Conclusion { call, request }) => self.conclusion_receipt(now, &call, &request, result),
            None => {}
        }
        self.leave_if_done();
    }

    fn publish_receipt(&mut self, now: Now, seq: u64, result: Result<Stored, PublishError>) {
        #[cfg(feature = "sabotage")]
        let result = self.receipt_sabotaged(result);
        match (self.window.receipt(seq, &result), result) {
            (Some(Ok(())), Ok(Stored { position, id, duplicate })) => {
                let position = position.to_string();
                self.send(ServerFrame::Published(Published { seq, id, position, duplicate }));
                self.call_published(now, seq);
            }
            (Some(Err(refusal)), _) => {
                let answered = self.calls.forget(seq);
                self.rejected_seq(seq, refusal);
                if let Some(answer) = answered {
                    self.answered(now, answer);
                }
            }
            _ => {}
        }
    }
}

fn unknown_cause(cause: &str) -> Refusal {
    Refusal::envelope(format!(
        "cause {cause:?} is no delivery of this session; its event comes again if it was not settled"
    ))
}

/// The bytes that an event takes: payload and all texts.
fn size_of(envelope: &Envelope) -> usize {
    let event = &envelope.event;
    let texts = [&event.id, &event.event_type, &event.source, &event.version, &event.correlation_id];
    let extensions = event.extensions.iter().map(|(name, value)| name.len() + value.to_string().len());
    envelope.payload.as_bytes().len() + texts.iter().map(|text| text.len()).sum::<usize>() + extensions.sum::<usize>()
}
