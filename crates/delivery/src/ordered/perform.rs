//! Does what the machine asks for: at once what needs no waiting, in tasks
//! the rest. A task that can't answer yet tries on with a bounded backoff; if
//! the process dies there, the cursor says what may have been out.

use std::sync::Arc;

use handbell_backend::{BackendError, Position};
use handbell_groups::{Alarm, ConsumerId, Input, Output, Request};

use super::{
    cells, publisher, reader,
    runner::{Runner, State},
    store::{self, Store},
};
use crate::{ConsumerEvent, Delivered, backoff::Backoff, identity::idempotency_key};

impl Runner {
    pub(super) fn perform(self: &Arc<Self>, state: &mut State, output: Output) {
        match output {
            Output::Load { request, partition } => {
                state.loads.push((request, partition));
                if !std::mem::replace(&mut state.loading, true) {
                    self.spawn(cells::load(Arc::clone(self)));
                }
            }
            Output::Store { request, partition, value, expected } => {
                state.stores.push(Store { request, partition, value, expected });
                match std::mem::replace(&mut state.storing, true) {
                    false => self.spawn(store::run(Arc::clone(self))),
                    true => self.store.notify_one(),
                }
            }
            Output::Fetch { request, positions } => self.spawn(Arc::clone(self).fetch(request, positions)),
            Output::Publish { request, outgoing } => {
                state.publishes.push_back((request, *outgoing));
                if !std::mem::replace(&mut state.publishing, true) {
                    self.spawn(publisher::run(Arc::clone(self)));
                }
            }
            Output::Open { reading, begin } => {
                let index = reader::index(reading.source, reading.lane);
                state.wanted[index].open(reading, begin);
                self.readers[index].notify_one();
            }
            Output::Close { reading } => {
                let index = reader::index(reading.source, reading.lane);
                state.wanted[index].close(reading);
                self.readers[index].notify_one();
            }
            Output::Tell { to, word } => self.around.members.hand_over(to, self.group.clone(), word.to_text()),
            Output::Alarm(alarm) => self.alarm(&alarm),
            Output::Held { partition } => drop(state.held.insert(partition)),
            Output::Released { partition } => drop(state.held.remove(&partition)),
            letter => self.post(state, letter),
        }
    }

    /// What is for consumers.
    fn post(&self, state: &mut State, output: Output) {
        let (consumer, event) = match output {
            Output::Deliver { consumer, token, record, attempt } => {
                let idempotency_key = idempotency_key(&record.envelope.event.id, self.group.as_str());
                (consumer, ConsumerEvent::Deliver(Delivered { token, record, attempt, idempotency_key }))
            }
            Output::Settled { consumer, token } => (consumer, ConsumerEvent::Settled(token)),
            Output::Gone { consumer, token } => (consumer, ConsumerEvent::Gone(token)),
            Output::Revoked { consumer, token } => (consumer, ConsumerEvent::Revoked(token)),
            Output::Gap(trimmed) => {
                let State { consumers, outbox, .. } = state;
                return consumers.values().for_each(|seat| outbox.add(&seat.post, ConsumerEvent::Gap(trimmed.clone())));
            }
            _ => return,
        };
        state.post(consumer, event);
    }

    fn alarm(&self, alarm: &Alarm) {
        let group = &self.group;
        match alarm {
            Alarm::LogReset { was, now } => {
                tracing::error!(%group, %was, %now, "the log was made anew or went back; reading on from what survived");
            }
            Alarm::Unreadable { partition, why } => {
                tracing::error!(%group, %partition, %why, "a cursor can't be read; the partition is given up");
            }
            Alarm::Refused { position, why } => {
                tracing::error!(%group, %position, %why, "the backend refuses to store a failed event elsewhere");
            }
            Alarm::Lost { positions } => {
                tracing::error!(%group, count = positions.len(), "unsettled events were removed by retention");
            }
        }
    }

    async fn fetch(self: Arc<Self>, request: Request, positions: Vec<Position>) {
        let fetch = || self.around.backend.fetch(&positions);
        let records = until_it_works("fetch unsettled events", fetch).await;
        self.tell(Input::Fetched { request, records });
    }
}

impl State {
    pub(super) fn post(&mut self, consumer: ConsumerId, event: ConsumerEvent) {
        let Some(seat) = self.consumers.get_mut(&consumer) else { return };
        if matches!(event, ConsumerEvent::Settled(_) | ConsumerEvent::Gone(_)) {
            seat.pending = seat.pending.saturating_sub(1);
        }
        self.outbox.add(&seat.post, event);
        if seat.left && seat.pending == 0 {
            self.consumers.remove(&consumer);
        }
    }
}

/// Tries until it works.
pub(super) async fn until_it_works<T, F>(doing: &'static str, attempt: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, BackendError>>,
{
    let mut backoff = Backoff::new(doing);
    loop {
        match attempt().await {
            Ok(value) => {
                backoff.worked();
                return value;
            }
            Err(error) => backoff.wait(&error).await,
        }
    }
}
