//! What is out: who has it, and until when.
//!
//! Lease rule: while its consumer is connected a delivery ends
//! `max_processing` after it was handed out; without a socket `ack_wait` after
//! the loss, never later than before; `extend` sets the end, beyond either.

use std::time::Duration;

use handbell_backend::{Partition, Position};
use handbell_protocol::{Kind, Timestamp};

use crate::{ConsumerId, Suspicion, Token, entry::Slot, numbers::NumberMap, timers::Timers};

#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) consumer: ConsumerId,
    pub(crate) partition: Partition,
    pub(crate) place: Place,
    pub(crate) attempt: u32,
    pub(crate) suspicion: Suspicion,
    started: Timestamp,
    end: Timestamp,
    extended: bool,
}

/// Where the delivery's record stands.
#[derive(Debug)]
pub(crate) enum Place {
    /// In the window of a partition that this member holds.
    Window(Slot),
    /// In the cursor of whoever holds the partition now.
    Away(Box<Away>),
}

/// A delivery of a partition that was given up.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    pub(crate) position: Position,
    pub(crate) kind: Kind,
}

#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    out: NumberMap<Delivery>,
    leases: Timers<Token>,
    /// How many suspects of lost holders are out, of partitions that were
    /// given up too.
    alone: usize,
}

impl Deliveries {
    #[expect(clippy::too_many_arguments, reason = "a delivery is made in one place, of its parts")]
    pub(crate) fn hand_out(
        &mut self,
        token: Token,
        consumer: ConsumerId,
        partition: Partition,
        slot: Slot,
        attempt: u32,
        suspicion: Suspicion,
        (started, end): (Timestamp, Timestamp),
    ) {
        let place = Place::Window(slot);
        let delivery = Delivery { consumer, partition, place, attempt, suspicion, started, end, extended: false };
        self.alone += usize::from(suspicion == Suspicion::Alone);
        self.out.insert(token.0, delivery);
        self.leases.set(end, token);
        self.compact();
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Delivery> {
        self.out.get_mut(&token.0)
    }

    /// The delivery, if it is this consumer's.
    pub(crate) fn of(&self, token: Token, consumer: ConsumerId) -> Option<&Delivery> {
        self.out.get(&token.0).filter(|delivery| delivery.consumer == consumer)
    }

    pub(crate) fn take(&mut self, token: Token) -> Option<Delivery> {
        let delivery = self.out.remove(&token.0)?;
        self.alone -= usize::from(delivery.suspicion == Suspicion::Alone);
        Some(delivery)
    }

    /// Whether a suspect of a lost holder is out.
    pub(crate) fn has_suspect(&self) -> bool {
        self.alone > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The tokens of those that match, oldest first.
    pub(crate) fn tokens(&self, matches: impl Fn(&Delivery) -> bool) -> Vec<Token> {
        let mut tokens: Vec<_> = self.out.iter().filter(|(_, d)| matches(d)).map(|(token, _)| Token(*token)).collect();
        tokens.sort_unstable();
        tokens
    }

    pub(crate) fn extend(&mut self, token: Token, end: Timestamp) {
        if let Some(delivery) = self.out.get_mut(&token.0) {
            delivery.extended = true;
            delivery.end = end;
            self.leases.set(end, token);
            self.compact();
        }
    }

    /// The consumer's socket is lost (with `end` as the latest end), or back.
    pub(crate) fn connected(&mut self, consumer: ConsumerId, end: Option<Timestamp>, max_processing: Duration) {
        let of_consumer = self.out.iter_mut().filter(|(_, d)| d.consumer == consumer && !d.extended);
        for (token, delivery) in of_consumer {
            let latest = delivery.started.after(max_processing);
            delivery.end = end.map_or(latest, |end| end.min(delivery.end));
            self.leases.set(delivery.end, Token(*token));
        }
        self.compact();
    }

    /// The next delivery whose lease has ended.
    pub(crate) fn expired(&mut self, now: Timestamp) -> Option<Token> {
        loop {
            let (at, token) = self.leases.take_due(now)?;
            if self.out.get(&token.0).is_some_and(|delivery| delivery.end == at) {
                return Some(token);
            }
        }
    }

    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.leases.next()
    }

    /// Leases of what is settled fall out in time, however long they run.
    fn compact(&mut self) {
        if self.leases.len() > 64 + 4 * self.out.len() {
            let out = &self.out;
            self.leases.retain(|at, token| out.get(&token.0).is_some_and(|delivery| delivery.end == at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: ConsumerId = ConsumerId(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn handed_out(deliveries: &mut Deliveries, token: u64) {
        let slot = Slot { index: 0, id: 0 };
        deliveries.hand_out(Token(token), C, Partition(0), slot, 1, Suspicion::None, (at(0), at(900)));
    }

    #[test]
    fn a_lease_ends_after_max_processing_or_ack_wait_after_the_socket_is_lost() {
        let mut deliveries = Deliveries::default();
        handed_out(&mut deliveries, 1);
        deliveries.connected(C, Some(at(40)), Duration::from_secs(900));
        assert_eq!(deliveries.expired(at(39)), None);
        deliveries.connected(C, None, Duration::from_secs(900));
        assert_eq!(deliveries.expired(at(899)), None, "the socket is back");
        deliveries.connected(C, Some(at(929)), Duration::from_secs(900));
        assert_eq!(deliveries.expired(at(900)), Some(Token(1)), "never later than before");
    }

    #[test]
    fn extend_goes_beyond_either_end() {
        let mut deliveries = Deliveries::default();
        handed_out(&mut deliveries, 1);
        deliveries.extend(Token(1), at(2_000));
        deliveries.connected(C, Some(at(40)), Duration::from_secs(900));
        assert_eq!(deliveries.expired(at(1_999)), None);
        assert_eq!(deliveries.expired(at(2_000)), Some(Token(1)));
    }

    #[test]
    fn leases_of_settled_deliveries_take_no_room() {
        let mut deliveries = Deliveries::default();
        for token in 0..10_000 {
            handed_out(&mut deliveries, token);
            deliveries.take(Token(token));
        }
        assert!(deliveries.leases.len() < 100);
    }
}
