//! Verdicts on deliveries: ack with its outputs, nack, reject, extend, release.

use handbell_backend::{Dedup, PublishError, Stored, header};
use handbell_delivery::{ConsumerKey, Token, Verdict};
use handbell_protocol::{
    Refusal,
    event::Draft,
    frame::{Ack, Extend, Nack, OutputPublished, Reject, Rejected, Release, ServerFrame},
};

use super::{
    Directory, Effect, Now, Session,
    deliveries::{Frame, Held, State},
    publish::{Prepared, Purpose},
    rejected,
    window::refusal_of,
};

/// An `ack` whose outputs are being stored.
#[derive(Debug)]
pub(super) struct Storing {
    pub(super) delivery: Box<str>,
    pub(super) confirm: bool,
    receipts: Vec<Option<Result<Stored, PublishError>>>,
}

impl Session {
    pub(super) fn ack(&mut self, now: Now, directory: &dyn Directory, ack: Ack) {
        if let [delivery] = &ack.deliveries[..]
            && !ack.publish.is_empty()
        {
            let delivery: Box<str> = delivery.as_str().into();
            return self.ack_with_outputs(now, directory, delivery, ack.publish, ack.confirm);
        }
        let mut verdicts = Verdicts::default();
        for delivery in ack.deliveries {
            #[cfg(feature = "sabotage")]
            self.reopen_sabotaged(&delivery);
            if self.deliveries.is_storing(&delivery, ack.confirm) {
                continue;
            }
            let Some(held) = self.deliveries.open(&delivery) else {
                self.gone(&delivery);
                continue;
            };
            if has_call(held) {
                self.answer_null(now, &delivery, ack.confirm, None);
            } else if let Some(verdict) = begin(held, ack.confirm, None) {
                verdicts.add(verdict, Verdict::Ack);
            } else {
                self.reply_settled(&delivery, ack.confirm);
            }
        }
        self.settle(verdicts);
    }

    /// A reply that the sidecar made itself lies in no log: it is settled here.
    fn reply_settled(&mut self, delivery: &str, confirm: bool) {
        self.deliveries.let_go(delivery);
        if confirm {
            self.tell_settled(delivery, None);
        }
    }

    fn settle(&mut self, verdicts: Verdicts) {
        for (key, verdicts) in verdicts.0 {
            self.out.push(Effect::Settle(key, verdicts));
        }
    }

    // === outputs ===

    fn ack_with_outputs(
        &mut self,
        now: Now,
        directory: &dyn Directory,
        delivery: Box<str>,
        outputs: Vec<Result<Draft, Refusal>>,
        confirm: bool,
    ) {
        if self.deliveries.is_storing(&delivery, confirm) {
            return;
        }
        let Some(held) = self.deliveries.open(&delivery) else { return self.gone(&delivery) };
        let (first, mut numbers) = (held.lineage.next, std::mem::take(&mut held.outputs));
        #[cfg(feature = "sabotage")]
        self.renumber_sabotaged(&mut numbers);
        let count = outputs.len();
        let mut prepared = Vec::with_capacity(count);
        for (index, output) in outputs.into_iter().enumerate() {
            match self.prepare_output(now, output, &delivery, numbers.get(index).copied()) {
                Ok(output) => prepared.push(output),
                Err(refusal) => {
                    #[cfg(feature = "sabotage")]
                    self.store_sabotaged(prepared);
                    self.renumber(&delivery, first, numbers);
                    return self.output_refused(&delivery, index, refusal);
                }
            }
        }
        if let Some(held) = self.deliveries.get(&delivery) {
            numbers.extend(prepared.iter().skip(numbers.len()).filter_map(|output| output.output));
            held.outputs = numbers;
            held.state = State::Storing { confirm: false };
        }
        self.next_ticket += 1;
        let ack = self.next_ticket;
        self.storing.insert(ack, Storing { delivery, confirm, receipts: vec![None; count] });
        for (index, output) in prepared.into_iter().enumerate() {
            let records = self.records(output.letter, directory);
            let ticket = self.ticket(Purpose::Output { ack, index });
            self.out.push(Effect::Publish(ticket, records));
        }
        #[cfg(feature = "sabotage")]
        self.settle_sabotaged(ack);
    }

    fn prepare_output(
        &mut self,
        now: Now,
        output: Result<Draft, Refusal>,
        delivery: &str,
        number: Option<u64>,
    ) -> Result<Prepared, Refusal> {
        let unused = Dedup { key: String::new(), digest: None };
        self.prepare(now, output?, String::new(), unused, Some(delivery), number)
    }

    /// Nothing of an `ack` was handed over: the numbers are as they were.
    fn renumber(&mut self, delivery: &str, first: u64, numbers: Vec<u64>) {
        if let Some(held) = self.deliveries.get(delivery) {
            held.lineage.next = first;
            held.outputs = numbers;
        }
    }

    fn output_refused(&mut self, delivery: &str, index: usize, refusal: Refusal) {
        let delivery = Some(delivery.to_owned());
        self.send(ServerFrame::Rejected(Rejected { delivery, index: Some(index), ..rejected(refusal) }));
    }

    pub(super) fn output_receipt(&mut self, now: Now, ack: u64, index: usize, result: Result<Stored, PublishError>) {
        let Some(storing) = self.storing.get_mut(&ack) else { return };
        storing.receipts[index] = Some(result);
        if storing.receipts.iter().any(Option::is_none) {
            return;
        }
        let Some(Storing { delivery, confirm, receipts }) = self.storing.remove(&ack) else { return };
        let results: Result<Vec<_>, _> =
            receipts.into_iter().flatten().enumerate().map(|(i, result)| result.map_err(|error| (i, error))).collect();
        match results {
            Ok(stored) => self.outputs_stored(now, &delivery, stored, confirm),
            Err((index, error)) => self.outputs_failed(&delivery, index, &error),
        }
    }

    /// Some may be stored: when the agent sends the same again they have the
    /// same IDs, and are stored once.
    fn outputs_failed(&mut self, delivery: &str, index: usize, error: &PublishError) {
        if self.deliveries.stored(delivery).is_none() {
            return self.gone(delivery);
        }
        self.output_refused(delivery, index, refusal_of(error, 0));
    }

    fn outputs_stored(&mut self, now: Now, delivery: &str, stored: Vec<Stored>, confirm: bool) {
        let Some((held, repeat)) = self.deliveries.stored(delivery) else { return self.gone(delivery) };
        let (is_call, confirm) = (has_call(held), confirm || repeat);
        let published = stored
            .into_iter()
            .map(|stored| OutputPublished {
                id: stored.id,
                position: stored.position.to_string(),
                duplicate: stored.duplicate,
            })
            .collect();
        if is_call {
            return self.answer_null(now, delivery, confirm, Some(published));
        }
        self.settle_with(delivery, Verdict::Ack, confirm, Some(published));
    }

    /// Settles one delivery that is out, and confirms it with its outputs.
    pub(super) fn settle_with(
        &mut self,
        delivery: &str,
        verdict: Verdict,
        confirm: bool,
        published: Option<Vec<OutputPublished>>,
    ) {
        if self.deliveries.is_storing(delivery, confirm) {
            return;
        }
        let Some(held) = self.deliveries.open(delivery) else { return self.gone(delivery) };
        let mut verdicts = Verdicts::default();
        match begin(held, confirm, published) {
            Some(begun) => verdicts.add(begun, verdict),
            None => self.reply_settled(delivery, confirm),
        }
        self.settle(verdicts);
        #[cfg(feature = "sabotage")]
        self.confirm_sabotaged(delivery);
    }

    // === failure ===

    pub(super) fn nack(&mut self, nack: Nack) {
        let verdict = Verdict::Nack { class: nack.class, reason: nack.reason, delay: nack.delay };
        self.one_verdict(&nack.delivery, verdict, nack.confirm);
    }

    pub(super) fn reject(&mut self, now: Now, reject: Reject) {
        let call = self.deliveries.open(&reject.delivery).is_some_and(|held| has_call(held));
        if call {
            return self.answer_rejected(now, reject);
        }
        self.one_verdict(&reject.delivery, Verdict::Reject { reason: reject.reason }, reject.confirm);
    }

    pub(super) fn one_verdict(&mut self, delivery: &str, verdict: Verdict, confirm: bool) {
        self.settle_with(delivery, verdict, confirm, None);
    }

    pub(super) fn release(&mut self, release: Release) {
        for delivery in release.deliveries {
            self.one_verdict(&delivery, Verdict::Release, release.confirm);
        }
    }

    pub(super) fn extend(&mut self, extend: Extend) {
        let held = self.deliveries.get(&extend.delivery).filter(|held| !matches!(held.state, State::Settling { .. }));
        match held.map(|held| (held.key, held.token)) {
            Some((key, Some(token))) => self.out.push(Effect::Extend(key, token, extend.lease)),
            Some((_, None)) => {}
            None => self.gone(&extend.delivery),
        }
    }
}

/// Verdicts of one frame, by consumer.
#[derive(Default)]
pub(super) struct Verdicts(Vec<(ConsumerKey, Vec<(Token, Verdict)>)>);

impl Verdicts {
    fn add(&mut self, (key, token): (ConsumerKey, Token), verdict: Verdict) {
        match self.0.iter_mut().find(|(have, _)| *have == key) {
            Some((_, verdicts)) => verdicts.push((token, verdict)),
            None => self.0.push((key, vec![(token, verdict)])),
        }
    }
}

/// Marks a delivery as being settled, and says what settles it.
fn begin(held: &mut Held, confirm: bool, published: Option<Vec<OutputPublished>>) -> Option<(ConsumerKey, Token)> {
    let token = held.token?;
    held.state = State::Settling { confirm, published };
    Some((held.key, token))
}

/// Whether somebody waits for this delivery's answer.
fn has_call(held: &Held) -> bool {
    matches!(&held.frame, Frame::Work { record, .. } if record.headers.get(header::CALL).is_some())
}
