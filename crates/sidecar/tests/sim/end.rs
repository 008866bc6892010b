//! The end of a run: everything has come to its end, and enough has happened.

use super::{
    World,
    client::Answer,
    hub::{Place, State},
};

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) items: usize,
    pub(crate) published: usize,
    pub(crate) told_open: usize,
    pub(crate) delivered: usize,
    pub(crate) settled: usize,
    pub(crate) confirmed: usize,
    pub(crate) gone: usize,
    pub(crate) replies: usize,
    pub(crate) resumed_here: usize,
    pub(crate) resumed_elsewhere: usize,
    pub(crate) not_read: usize,
    pub(crate) too_slow: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        let ours = [
            &mut self.items,
            &mut self.published,
            &mut self.told_open,
            &mut self.delivered,
            &mut self.settled,
            &mut self.confirmed,
            &mut self.gone,
            &mut self.replies,
            &mut self.resumed_here,
            &mut self.resumed_elsewhere,
            &mut self.not_read,
            &mut self.too_slow,
        ];
        let theirs = [
            other.items,
            other.published,
            other.told_open,
            other.delivered,
            other.settled,
            other.confirmed,
            other.gone,
            other.replies,
            other.resumed_here,
            other.resumed_elsewhere,
            other.not_read,
            other.too_slow,
        ];
        ours.into_iter().zip(theirs).for_each(|(ours, theirs)| *ours += theirs);
    }
}

impl World {
    /// What is wrong when nothing more happens.
    pub(crate) fn check_end(&mut self) {
        let mut problems = Vec::new();
        let mut published = 0;
        for (client, this) in self.clients.iter().enumerate() {
            for (seq, item) in &this.items {
                let stored = self.broker.count(&item.mark);
                let who = format!("client {client}: seq {seq} ({})", item.mark);
                match item.answer {
                    None => problems.push(format!("{who} has no answer")),
                    Some(Answer::Published) => {
                        published += 1;
                        if item.cause.is_none() && stored != 1 {
                            problems.push(format!("{who} was told as published and is stored {stored} times"));
                        }
                        if !self.clocks_far_apart
                            && item.call.as_ref().is_some_and(|call| !this.replies.contains_key(call))
                        {
                            problems.push(format!("{who} is a request without a reply"));
                        }
                    }
                    Some(Answer::Refused(code)) => {
                        if item.cause.is_none() && stored > 0 {
                            problems.push(format!("{who} was refused ({code:?}) and is stored"));
                        }
                    }
                }
            }
        }
        for work in &self.hub.works {
            // Work for the agents that are there comes to its end.
            if work.state != State::Done && !matches!(&work.place, Place::Inbox(topic) if topic.contains("nobody")) {
                let event = &work.record.envelope.event;
                problems.push(format!("{} is not settled: {:?} {:?}", event.id, work.place, work.state));
            }
        }
        self.counts.published = published;
        for problem in problems {
            self.violation(problem);
        }
    }
}
