//! Requests from the responder's side: an answer is stored, then the delivery
//! is settled. The first answer wins: all answers to one request share a
//! dedup key.

use handbell_backend::{Outgoing, PublishError, Stored};
use handbell_delivery::{Answer, Call, Verdict};
use handbell_protocol::{
    Json, Refusal,
    event::{Completion, Draft, id},
    frame::{OutputPublished, Reject, Rejected, ReplyStatus, Respond, ServerFrame},
};
use serde_json::value::RawValue;

use super::{
    Effect, Now, Session,
    deliveries::{Frame, State},
    publish::Purpose,
    rejected,
    window::refusal_of,
};

/// What the responder says.
struct Said<'a> {
    status: ReplyStatus,
    event: Option<&'a RawValue>,
    payload: Json,
    /// How the delivery is settled after the answer is stored.
    then: Verdict,
    confirm: bool,
}

/// An answer that is being stored.
#[derive(Debug)]
pub(super) struct Answering {
    then: Verdict,
    confirm: bool,
    published: Option<Vec<OutputPublished>>,
    /// The answer's ID.
    id: String,
}

impl Session {
    pub(super) fn respond(&mut self, now: Now, respond: Respond) {
        let Respond { delivery, payload, status, event, confirm } = respond;
        self.answer(
            now,
            &delivery,
            Said { status, event: event.as_deref(), payload, then: Verdict::Ack, confirm },
            None,
        );
    }

    /// A bare `ack` of a request is `respond` ok with null.
    pub(super) fn answer_null(
        &mut self,
        now: Now,
        delivery: &str,
        confirm: bool,
        published: Option<Vec<OutputPublished>>,
    ) {
        let said = Said { status: ReplyStatus::Ok, event: None, payload: Json::null(), then: Verdict::Ack, confirm };
        self.answer(now, delivery, said, published);
    }

    pub(super) fn answer_rejected(&mut self, now: Now, reject: Reject) {
        let payload = Json::of(&serde_json::json!({ "reason": reject.reason })).unwrap_or_default();
        let then = Verdict::Reject { reason: reject.reason };
        let said = Said { status: ReplyStatus::Error, event: None, payload, then, confirm: reject.confirm };
        self.answer(now, &reject.delivery, said, None);
    }

    fn answer(&mut self, now: Now, delivery: &str, said: Said<'_>, published: Option<Vec<OutputPublished>>) {
        if self.deliveries.is_storing(delivery, said.confirm) {
            return;
        }
        let Some(held) = self.deliveries.open(delivery) else { return self.gone(delivery) };
        let Frame::Work { record, .. } = &held.frame else { return self.gone(delivery) };
        let record = record.clone();
        let Some(call) = Call::of(&record) else { return self.no_call(delivery) };
        if call.deadline < now.wall {
            // Given back, so that whoever holds it tells the caller.
            return self.too_late(delivery, Verdict::Release);
        }
        let (then, confirm) = (said.then.clone(), said.confirm);
        match self.letter(now, delivery, &call, said) {
            Ok(outgoing) => {
                if let Some(held) = self.deliveries.get(delivery) {
                    held.state = State::Storing { confirm: false };
                }
                let id = outgoing.envelope.event.id.clone();
                self.answering.insert(delivery.into(), Answering { then, confirm, published, id });
                let ticket = self.ticket(Purpose::Answer { delivery: delivery.into() });
                self.out.push(Effect::Publish(ticket, vec![outgoing]));
            }
            Err(refusal) => self.answer_refused(delivery, refusal),
        }
    }

    fn letter(&mut self, now: Now, delivery: &str, call: &Call, said: Said<'_>) -> Result<Outgoing, Refusal> {
        let lineage = self.deliveries.lineage(delivery).ok_or_else(|| Refusal::envelope("the delivery is gone"))?;
        let id = id::of_output(&lineage.cause.id, lineage.cause.at, &lineage.receiver, lineage.next);
        let cause = lineage.cause.clone();
        let event = match said.event {
            Some(event) => event.to_owned(),
            None => serde_json::value::to_raw_value(&serde_json::json!({ "type": "ResponseEvent" }))
                .map_err(|error| Refusal::envelope(error.to_string()))?,
        };
        let routing = serde_json::value::to_raw_value(&serde_json::json!({ "to": call.caller }))
            .map_err(|error| Refusal::envelope(error.to_string()))?;
        let mut draft = Draft::parse(Some(&event), None, Some(&routing))?;
        draft.set_payload(said.payload);
        let completion = Completion { source: &self.agent, id, now: now.wall, cause: Some(&cause) };
        let envelope = draft.complete(completion)?;
        let answer = if said.status == ReplyStatus::Error { Answer::Error } else { Answer::Ok };
        Ok(call.answer(&cause.id, envelope, answer, self.bounds.partitions))
    }

    pub(super) fn answer_receipt(&mut self, delivery: &str, result: Result<Stored, PublishError>) {
        let Some(Answering { then, confirm, published, id }) = self.answering.remove(delivery) else { return };
        let Some((held, repeat)) = self.deliveries.stored(delivery) else { return self.gone(delivery) };
        // Its lease has ended: only an answer that is the first still counts.
        let counts = published.is_some() && held.token.is_some();
        match result {
            // Somebody, or an earlier run of this handler, has answered before.
            Ok(Stored { duplicate: true, id, .. }) if !counts && held.doubtful.as_ref() != Some(&id) => {
                self.too_late(delivery, Verdict::Ack);
            }
            Ok(_) => self.settle_with(delivery, then, confirm || repeat, published),
            Err(error) => {
                if error.is_in_doubt() {
                    held.doubtful.get_or_insert(id);
                }
                self.answer_refused(delivery, refusal_of(&error, 0));
            }
        }
    }

    /// The answer has no effect: the work is over, and the agent is told.
    fn too_late(&mut self, delivery: &str, verdict: Verdict) {
        self.one_verdict(delivery, verdict, false);
        self.deliveries.let_go(delivery);
        self.gone(delivery);
    }

    fn no_call(&mut self, delivery: &str) {
        self.answer_refused(
            delivery,
            Refusal::new(handbell_protocol::Code::Protocol, "this delivery has no call; ack it"),
        );
    }

    fn answer_refused(&mut self, delivery: &str, refusal: Refusal) {
        let delivery = Some(delivery.to_owned());
        self.send(ServerFrame::Rejected(Rejected { delivery, ..rejected(refusal) }));
    }
}
