//! Subscriptions: made, raised, ended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::Position;
use handbell_delivery::{ConsumerEvent, ConsumerKey, FanoutSpec, GroupSettings, Leave};
use handbell_protocol::{
    Code, Refusal,
    filter::Filter,
    frame::{
        Credit, ErrorFrame, FrameError, From, MAX_CREDIT, Order, RetryPolicy, ServerFrame, Subscribe, Unsubscribe,
    },
};

use super::{DIRECT, Effect, Join, Now, Session, fault};
use crate::policy::DeclaredSubscription;

const DEFAULT_CREDIT: u32 = 64;
const DEFAULT_ACK_WAIT: Duration = Duration::from_secs(30);

/// A subscription, or direct work under the name `""`.
#[derive(Debug)]
pub(super) struct Sub {
    /// As the agent names it.
    pub(super) name: Arc<str>,
    /// Whose outputs are numbered in one row; `None`: by the record's address.
    pub(super) receiver: Option<Arc<str>>,
    /// What a declared subscription says is to be done.
    pub(super) action: Option<Arc<str>>,
    ceiling: u32,
    /// The ceiling that its consumer was made with.
    joined_with: u32,
    /// It was joined while there was nobody to tell.
    untold: bool,
    /// What came before `subscribed` was sent; `None` once it was.
    early: Option<Vec<ConsumerEvent>>,
    declared: bool,
}

/// All of a session's.
#[derive(Debug)]
pub(super) struct Subs {
    by_key: BTreeMap<ConsumerKey, Sub>,
    last: u32,
}

impl Subs {
    /// With direct work alone, under that ceiling.
    pub(super) fn new(credit: u32) -> Self {
        let direct = Sub {
            name: "".into(),
            receiver: None,
            action: None,
            ceiling: credit,
            joined_with: credit,
            untold: false,
            early: None,
            declared: true,
        };
        Self { by_key: [(DIRECT, direct)].into(), last: DIRECT.0 }
    }

    pub(super) fn get(&self, key: ConsumerKey) -> Option<&Sub> {
        self.by_key.get(&key)
    }

    /// Each consumer with its ceiling.
    pub(super) fn ceilings(&self) -> Vec<(ConsumerKey, u32)> {
        self.by_key.iter().map(|(key, sub)| (*key, sub.ceiling)).collect()
    }

    fn named(&mut self, name: &str) -> Option<(ConsumerKey, &mut Sub)> {
        self.by_key.iter_mut().find(|(_, sub)| &*sub.name == name).map(|(key, sub)| (*key, sub))
    }

    fn add(&mut self, sub: Sub) -> ConsumerKey {
        self.last += 1;
        let key = ConsumerKey(self.last);
        self.by_key.insert(key, sub);
        key
    }
}

impl Session {
    /// Subscriptions that the configuration declares for this agent.
    pub(super) fn subscribe_declared(&mut self, now: Now) {
        let declared = self.policy.subscriptions.get(&self.agent).cloned().unwrap_or_default();
        for (index, declared) in declared.into_iter().enumerate() {
            let action = declared.action.as_deref().map(Into::into);
            self.make(now, asked_by(declared, index), action, true);
        }
    }

    pub(super) fn subscribe(&mut self, now: Now, subscribe: Subscribe) {
        let fault = self.subscribe_fault(&subscribe);
        match fault {
            Some(refusal) => self.sub_refused(&subscribe.sub, refusal),
            None => self.make(now, subscribe, None, false),
        }
    }

    fn subscribe_fault(&mut self, subscribe: &Subscribe) -> Option<Refusal> {
        if self.subs.named(&subscribe.sub).is_some() {
            return Some(Refusal::new(
                Code::Protocol,
                format!("sub {:?} is taken; unsubscribe it first", subscribe.sub),
            ));
        }
        if self.subs.by_key.len() > self.bounds.max_subscriptions {
            let max = self.bounds.max_subscriptions;
            return Some(Refusal::new(Code::Busy, format!("a session has at most {max} subscriptions")));
        }
        if let Some(filter) = &subscribe.filter
            && let Err(bad) = Filter::compile(filter)
        {
            return Some(Refusal::new(Code::BadFilter, format!("filter: {bad}")));
        }
        if let Some(From::Position(position)) = &subscribe.from
            && let Err(bad) = position.parse::<Position>()
        {
            return Some(Refusal::new(Code::Protocol, format!("from: {bad}")));
        }
        self.policy.may_subscribe(&self.agent, &subscribe.topics).err()
    }

    fn make(&mut self, _now: Now, subscribe: Subscribe, action: Option<Arc<str>>, declared: bool) {
        let name: Arc<str> = subscribe.sub.as_str().into();
        let ceiling = subscribe.credit.unwrap_or(DEFAULT_CREDIT);
        // A fan-out's receiver has its sub, so that two of one agent differ.
        let receiver = match &subscribe.group {
            Some(group) => group.as_str().to_owned(),
            None => format!("{} {name}", self.agent),
        };
        let early = Some(Vec::new());
        let join = join_of(subscribe, ceiling, receiver.clone(), &self.policy.retry);
        let sub = Sub {
            name,
            receiver: Some(receiver.into()),
            action,
            ceiling,
            joined_with: ceiling,
            untold: false,
            early,
            declared,
        };
        let key = self.subs.add(sub);
        self.out.push(Effect::Join(key, join));
    }

    pub(super) fn joined(&mut self, now: Now, key: ConsumerKey, result: Result<(), Refusal>) {
        let Some(sub) = self.subs.by_key.get_mut(&key) else { return };
        let (name, declared) = (sub.name.clone(), sub.declared);
        match result {
            Ok(()) => {
                let early = sub.early.take().unwrap_or_default();
                let lost = self.lost_at.is_some();
                sub.untold = lost && !declared && key != DIRECT;
                // What was said to the consumer before it stood is lost.
                let due = if lost || self.phase == super::Phase::Draining { 0 } else { sub.ceiling };
                if lost {
                    self.out.push(Effect::Reach(key, false));
                }
                if due != sub.joined_with {
                    self.out.push(Effect::Credit(key, due));
                }
                if !declared {
                    self.send(ServerFrame::Subscribed { sub: name.to_string() });
                }
                for event in early {
                    self.consumer_event(now, key, event);
                }
            }
            Err(refusal) => {
                if key != DIRECT {
                    self.subs.by_key.remove(&key);
                }
                self.sub_refused(&name, refusal);
            }
        }
    }

    /// What was joined while there was no socket.
    pub(super) fn tell_subscribed(&mut self) {
        let told = |sub: &mut Sub| std::mem::take(&mut sub.untold).then(|| sub.name.clone());
        let untold: Vec<_> = self.subs.by_key.values_mut().filter_map(told).collect();
        for name in untold {
            self.send(ServerFrame::Subscribed { sub: name.to_string() });
        }
    }

    /// Keeps an event for later if its `subscribed` hasn't been sent.
    pub(super) fn keep_early(&mut self, key: ConsumerKey, event: ConsumerEvent) -> Option<ConsumerEvent> {
        #[cfg(feature = "sabotage")]
        if self.sabotaged(super::Sabotage::DeliveredBeforeSubscribed) {
            return Some(event);
        }
        match self.subs.by_key.get_mut(&key).and_then(|sub| sub.early.as_mut()) {
            Some(early) => {
                early.push(event);
                None
            }
            None => Some(event),
        }
    }

    pub(super) fn unsubscribe(&mut self, unsubscribe: Unsubscribe) {
        let found = self.subs.named(&unsubscribe.sub).map(|(key, _)| key).filter(|key| *key != DIRECT);
        let Some(key) = found else {
            let reason = format!("no subscription {:?}", unsubscribe.sub);
            return self.bad_frame(FrameError { sub: Some(unsubscribe.sub), ..fault("unsubscribe", reason) });
        };
        self.subs.by_key.remove(&key);
        for id in self.deliveries.of(key) {
            self.deliveries.let_go(&id);
        }
        self.out.push(Effect::Leave(key, Leave::Clean));
        self.send(ServerFrame::Unsubscribed { sub: unsubscribe.sub });
    }

    pub(super) fn credit(&mut self, credit: Credit) {
        let Some((key, sub)) = self.subs.named(&credit.sub) else {
            let reason = format!("no subscription {:?}", credit.sub);
            return self.bad_frame(FrameError { sub: Some(credit.sub), ..fault("credit", reason) });
        };
        sub.ceiling = sub.ceiling.saturating_add(credit.add).min(MAX_CREDIT);
        let ceiling = sub.ceiling;
        #[cfg(feature = "sabotage")]
        let ceiling = self.ceiling_sabotaged(ceiling);
        if self.phase == super::Phase::Live {
            self.out.push(Effect::Credit(key, ceiling));
        }
    }

    fn sub_refused(&mut self, sub: &str, refusal: Refusal) {
        self.send(ServerFrame::Error(ErrorFrame {
            code: refusal.code,
            reason: refusal.reason,
            op_ref: Some("subscribe".into()),
            sub: Some(sub.into()),
            seq: None,
            delivery: None,
            call: None,
        }));
    }
}

/// What a declared subscription would say as a frame. Its name tells where it
/// stands in the configuration.
fn asked_by(declared: DeclaredSubscription, index: usize) -> Subscribe {
    Subscribe {
        sub: format!("declared:{index}"),
        topics: vec![declared.topic],
        filter: declared.filter,
        group: declared.group,
        from: None,
        credit: None,
        ack_wait: None,
        order: declared.order,
        retry: None,
        level: false,
    }
}

fn join_of(subscribe: Subscribe, credit: u32, receiver: String, default: &RetryPolicy) -> Join {
    let from = subscribe.from.unwrap_or(From::New);
    let Subscribe { topics, filter, group, order, ack_wait, retry, level, .. } = subscribe;
    match group {
        Some(group) => {
            let settings = GroupSettings { group, topics, filter, order, ack_wait, retry, from };
            Join::Group { settings, credit, level }
        }
        None => {
            let order = order.unwrap_or(Order::Key);
            let ack_wait = ack_wait.unwrap_or(DEFAULT_ACK_WAIT);
            let retry = retry.unwrap_or_else(|| default.clone());
            let spec = FanoutSpec { topics, filter, order, ack_wait, retry, from, receiver, level };
            Join::Fanout { spec, credit }
        }
    }
}
