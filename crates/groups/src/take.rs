//! Inputs, each to whom it is about.

use handbell_backend::Partition;
use handbell_protocol::Timestamp;

use crate::{
    ConsumerId, Group, Input, Leave, MemberId, Output, Token, Verdict, Word,
    away::Pending,
    deliveries::{Delivery, Place},
    member::Timer,
    seat::Seat,
    window::{Fate, Window},
};

impl Group {
    pub(crate) fn take(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::View { members, owners } => {
                self.member.view(members, owners);
                self.seat_owned();
                self.each_window(Window::suspect_gone);
            }
            Input::Loaded { request, cursor, ends } => self.loaded(now, (request, cursor, ends), out),
            Input::Stored { request, result } => {
                for seat in self.seats.values_mut() {
                    seat.stored(&mut self.member, now, request, result, out);
                }
            }
            Input::Fetched { request, records } => {
                if let Some(seat) = self.seats.values_mut().filter_map(Seat::window).find(|w| w.fetches(request)) {
                    seat.fetched(&mut self.member, now, request, records, out);
                }
            }
            Input::Published { request, result } => self.published(now, request, result, out),
            Input::Read { reading, records } => {
                if let Some(window) = self.seats.get_mut(&reading.partition).and_then(Seat::window) {
                    window.read(&mut self.member, now, reading, records, out);
                }
            }
            Input::Level { reading } => {
                if let Some(window) = self.seats.get_mut(&reading.partition).and_then(Seat::window) {
                    window.level(reading);
                }
            }
            Input::Trimmed { reading, trimmed } => {
                if let Some(window) = self.seats.get_mut(&reading.partition).and_then(Seat::window) {
                    window.trimmed(&mut self.member, reading, trimmed, out);
                }
            }
            Input::Told { from, word } => self.told(now, from, word, out),
            Input::Drain => self.member.draining = true,
            Input::Leave => self.leave(now, out),
            Input::Tick => {}
            consumer => self.take_of_consumer(now, consumer, out),
        }
    }

    fn take_of_consumer(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        let (ack_wait, max_processing) = (self.member.config.ack_wait, self.member.config.max_processing);
        match input {
            Input::Joined { consumer, credit } => self.member.consumers.join(consumer, credit),
            Input::Credit { consumer, ceiling } => self.member.consumers.credit(consumer, ceiling),
            Input::Disconnected(consumer) => {
                self.member.consumers.connected(consumer, false);
                self.member.deliveries.connected(consumer, Some(now.after(ack_wait)), max_processing);
            }
            Input::Connected(consumer) => {
                self.member.consumers.connected(consumer, true);
                self.member.deliveries.connected(consumer, None, max_processing);
            }
            Input::Left { consumer, how } => self.left(now, consumer, how),
            Input::Settle { consumer, verdicts } => {
                for (token, verdict) in verdicts {
                    self.settle(now, consumer, token, verdict, out);
                }
            }
            Input::Extend { consumer, token, lease } => match self.member.deliveries.of(token, consumer) {
                Some(_) => self.member.deliveries.extend(token, now.after(lease)),
                None => self.member.gone(consumer, token, out),
            },
            _ => {}
        }
    }

    /// What is due by now: ends of leases, waiting records, publishes again.
    /// Partitions look after themselves with each call.
    pub(crate) fn take_due(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        while let Some(token) = self.member.deliveries.expired(now) {
            if let Some(delivery) = self.member.end_delivery(token) {
                out.push(Output::Revoked { consumer: delivery.consumer, token });
                self.end(now, delivery, None, Fate::timeout());
            }
        }
        while let Some((_, timer)) = self.member.timers.take_due(now) {
            match timer {
                Timer::Seat(_) => {}
                Timer::Due(handle) => {
                    if let Some(window) = self.seats.get_mut(&handle.partition).and_then(Seat::window) {
                        window.due(&mut self.member, now, handle.slot);
                    }
                }
                Timer::Publish(request) => {
                    let again = self.member.publishes.get(&request).map(|publish| publish.outgoing.clone());
                    out.extend(again.map(|outgoing| Output::Publish { request, outgoing }));
                }
            }
        }
    }

    fn loaded(
        &mut self,
        now: Timestamp,
        (request, cursor, ends): (
            crate::Request,
            Option<(bytes::Bytes, handbell_backend::CellVersion)>,
            Vec<handbell_backend::Position>,
        ),
        out: &mut Vec<Output>,
    ) {
        for seat in self.seats.values_mut() {
            seat.loaded(&mut self.member, now, request, cursor.clone(), &ends, out);
        }
    }

    fn published(
        &mut self,
        now: Timestamp,
        request: crate::Request,
        result: Result<handbell_backend::Stored, handbell_backend::PublishError>,
        out: &mut Vec<Output>,
    ) {
        let Some(publish) = self.member.publishes.remove(&request) else { return };
        if let Some(window) = self.seats.get_mut(&publish.handle.partition).and_then(Seat::window) {
            window.published(&mut self.member, now, (request, publish), result, out);
        }
    }

    /// There is a seat for each partition that this member should hold.
    fn seat_owned(&mut self) {
        let me = self.member.me();
        let owned = self.member.owners.iter().filter(|(_, owner)| *owner == me).map(|(partition, _)| *partition);
        for partition in owned {
            self.seats.entry(partition).or_insert_with(|| Seat::new(partition));
        }
    }

    fn each_window(&mut self, mut what: impl FnMut(&mut Window, &mut crate::member::Member)) {
        for window in self.seats.values_mut().filter_map(Seat::window) {
            what(window, &mut self.member);
        }
    }

    // === consumers ===

    fn settle(&mut self, now: Timestamp, consumer: ConsumerId, token: Token, verdict: Verdict, out: &mut Vec<Output>) {
        let is_theirs = self.member.deliveries.of(token, consumer).is_some();
        match is_theirs.then(|| self.member.end_delivery(token)).flatten() {
            Some(delivery) => self.end(now, delivery, Some((consumer, token)), verdict.into()),
            None => self.member.gone(consumer, token, out),
        }
    }

    /// A delivery ends, here or wherever its partition is now.
    fn end(&mut self, now: Timestamp, delivery: Delivery, told: Option<(ConsumerId, Token)>, fate: Fate) {
        let Delivery { partition, place, attempt, .. } = delivery;
        let number = self.member.number();
        let Some(seat) = self.seats.get_mut(&partition) else { return };
        match (place, told) {
            (Place::Away(away), told) => {
                let (position, kind) = (away.position, away.kind);
                seat.verdicts.pending.push(Pending { number, told, position, kind, attempt, fate });
                seat.verdicts.hurry();
            }
            (Place::Window(slot), Some(told)) => {
                if let Some(window) = seat.window() {
                    window.settle_told(&mut self.member, now, slot, told, fate);
                }
            }
            (Place::Window(slot), None) => {
                if let Some(window) = seat.window() {
                    window.settle(&mut self.member, now, slot, fate);
                }
            }
        }
    }

    fn left(&mut self, now: Timestamp, consumer: ConsumerId, how: Leave) {
        self.member.consumers.leave(consumer);
        for token in self.member.deliveries.tokens(|delivery| delivery.consumer == consumer) {
            let fate = match how {
                Leave::Clean => Verdict::Release.into(),
                Leave::Lost => Fate::lost(),
            };
            if let Some(delivery) = self.member.end_delivery(token) {
                self.end(now, delivery, None, fate);
            }
        }
    }

    fn leave(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.member.draining = true;
        for token in self.member.deliveries.tokens(|_| true) {
            if let Some(delivery) = self.member.end_delivery(token) {
                out.push(Output::Revoked { consumer: delivery.consumer, token });
                self.end(now, delivery, None, Fate::lost());
            }
        }
    }

    // === other members ===

    fn told(&mut self, now: Timestamp, from: MemberId, word: Word, out: &mut Vec<Output>) {
        match word {
            Word::Released { partition } => self.seat(partition, |seat| seat.told_released(now)),
            Word::Settle { number, position, attempt, verdict, lost } => {
                let window = self.seats.get_mut(&position.partition).and_then(Seat::window);
                if let Some(window) = window.filter(|window| window.listens()) {
                    let fate = Fate { verdict, lost };
                    window.settle_elsewhere(&mut self.member, now, from, (number, &position, attempt), fate);
                }
            }
            Word::Settled { number, effect } => {
                for seat in self.seats.values_mut() {
                    seat.verdicts.answered(&mut self.member, number, effect, out);
                }
            }
        }
    }

    fn seat(&mut self, partition: Partition, what: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.seats.get_mut(&partition) {
            what(seat);
        }
    }
}
