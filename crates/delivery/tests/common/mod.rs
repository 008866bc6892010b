//! What the tests of whole members are fed with: an embedded backend in
//! memory, events, and a session that waits for what it is told.

#![allow(dead_code, reason = "each test file uses its share of it")]
#![allow(clippy::unwrap_used, reason = "only tests use it")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::{Backend, Class, Headers, Outgoing, Stored, partition_of};
use handbell_backend_embedded::{EmbeddedLog, Options};
use handbell_delivery::{
    Consumer, ConsumerEvent, ConsumerKey, Delivered, DirectSpec, FanoutSpec, GroupSettings, Mailbox, Member,
    MemberOptions, Token, Verdict,
};
use handbell_protocol::{
    AgentName, Envelope, Json, Namespace, Priority, Segment, Timestamp, Topic, TopicPattern,
    event::{Event, Routing},
    frame::{From, Order, RetryPolicy},
};
use tokio::time::timeout;

/// Long enough for any of it on a busy machine; only a failure takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn backend() -> Arc<dyn Backend> {
    EmbeddedLog::open(Options::memory()).unwrap().backend(Namespace::default())
}

/// A member whose lease is short, so that crashes are seen soon.
pub(crate) async fn member(backend: &Arc<dyn Backend>) -> Member {
    let options = MemberOptions {
        lease: Duration::from_millis(900),
        heartbeat: Duration::from_millis(200),
        ..MemberOptions::default()
    };
    Member::join(Arc::clone(backend), options).await.unwrap()
}

pub(crate) fn segment(text: &str) -> Segment {
    Segment::parse(text).unwrap()
}

pub(crate) fn agent(text: &str) -> AgentName {
    AgentName::parse(text).unwrap()
}

/// An event on its way into the log.
pub(crate) fn event(topic: &Topic, id: &str) -> Envelope {
    let event = Event {
        id: id.into(),
        event_type: "ThingEvent".into(),
        source: "/tester".into(),
        timestamp: Timestamp::from_millis(0).into(),
        version: "1.0".into(),
        correlation_id: "c".into(),
        causation_id: None,
        kind: None,
        extensions: BTreeMap::new(),
    };
    let routing =
        Routing { topic: Some(topic.clone()), to: None, partition_key: None, priority: Priority::Normal, hops: 0 };
    Envelope { event, payload: Json::null(), routing }
}

pub(crate) fn outgoing(class: Class, envelope: Envelope) -> Outgoing {
    let key = envelope.routing.partition_key.clone().unwrap_or_else(|| envelope.event.id.clone());
    Outgoing {
        class,
        topic: envelope.routing.topic.clone().unwrap(),
        partition: partition_of(&key, handbell_backend::PartitionCount::default()),
        envelope: Arc::new(envelope),
        headers: Headers::default(),
        dedup: None,
    }
}

pub(crate) async fn publish(backend: &Arc<dyn Backend>, outgoing: Vec<Outgoing>) -> Vec<Stored> {
    let receipts = backend.publish(outgoing).await.unwrap();
    receipts.await.into_iter().map(|receipt| receipt.unwrap()).collect()
}

/// Publishes events on a topic of class Ev, with these IDs.
pub(crate) async fn publish_ids(
    backend: &Arc<dyn Backend>,
    topic: &str,
    ids: impl IntoIterator<Item = String>,
) -> Vec<Stored> {
    let topic = Topic::parse(topic).unwrap();
    let batch = ids.into_iter().map(|id| outgoing(Class::Ev, event(&topic, &id))).collect();
    publish(backend, batch).await
}

/// Puts work into an inbox.
pub(crate) async fn send(backend: &Arc<dyn Backend>, topic: &Topic, id: &str) {
    publish(backend, vec![outgoing(Class::Inbox, event(topic, id))]).await;
}

pub(crate) fn settings(group: &str, topic: &str, order: Order) -> GroupSettings {
    GroupSettings {
        group: segment(group),
        topics: vec![TopicPattern::parse(topic).unwrap()],
        filter: None,
        order: Some(order),
        ack_wait: None,
        retry: None,
        from: From::New,
    }
}

pub(crate) fn fanout(topic: &str, from: From) -> FanoutSpec {
    FanoutSpec {
        topics: vec![TopicPattern::parse(topic).unwrap()],
        filter: None,
        order: Order::Key,
        ack_wait: Duration::from_secs(30),
        retry: RetryPolicy::default(),
        from,
        receiver: "/a s".into(),
        level: true,
    }
}

pub(crate) fn direct(name: &str, run: &str) -> DirectSpec {
    DirectSpec { agent: agent(name), producer: format!("{name}#{run}"), pools: vec![], capabilities: vec![] }
}

/// A session: one consumer and its mailbox.
pub(crate) struct Session {
    pub(crate) mailbox: Mailbox,
    consumer: Option<Consumer>,
    events: std::collections::VecDeque<ConsumerEvent>,
}

impl Session {
    pub(crate) const KEY: ConsumerKey = ConsumerKey(7);

    pub(crate) async fn group(member: &Member, settings: GroupSettings, credit: u32) -> Self {
        let mailbox = Mailbox::default();
        let consumer = member.group(settings, Self::KEY, mailbox.clone(), credit, true).await.unwrap();
        Self::of(mailbox, consumer)
    }

    pub(crate) async fn fanout(member: &Member, spec: FanoutSpec, credit: u32) -> Self {
        let mailbox = Mailbox::default();
        let consumer = member.fanout(spec, Self::KEY, mailbox.clone(), credit).await.unwrap();
        Self::of(mailbox, consumer)
    }

    pub(crate) async fn direct(member: &Member, who: DirectSpec, credit: u32) -> Self {
        let mailbox = Mailbox::default();
        let consumer = member.direct(who, Self::KEY, mailbox.clone(), credit).await.unwrap();
        Self::of(mailbox, consumer)
    }

    fn of(mailbox: Mailbox, consumer: Consumer) -> Self {
        Self { mailbox, consumer: Some(consumer), events: std::collections::VecDeque::new() }
    }

    pub(crate) fn consumer(&self) -> &Consumer {
        self.consumer.as_ref().unwrap()
    }

    pub(crate) fn take_consumer(&mut self) -> Consumer {
        self.consumer.take().unwrap()
    }

    pub(crate) async fn next(&mut self) -> ConsumerEvent {
        while self.events.is_empty() {
            let taken = timeout(PATIENCE, self.mailbox.take()).await.expect("an event comes in time");
            self.events.extend(taken.into_iter().map(|(_, event)| event));
        }
        self.events.pop_front().unwrap()
    }

    /// The next delivery; what else comes before it is passed over.
    pub(crate) async fn delivery(&mut self) -> Delivered {
        loop {
            if let ConsumerEvent::Deliver(delivered) = self.next().await {
                return delivered;
            }
        }
    }

    pub(crate) async fn id(&mut self) -> String {
        self.delivery().await.record.envelope.event.id.clone()
    }

    /// Takes and acks so many, waits until that is durable, and tells their IDs.
    pub(crate) async fn work(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let delivered = self.delivery().await;
            ids.push(delivered.record.envelope.event.id.clone());
            self.settle(delivered.token, Verdict::Ack).await;
        }
        ids
    }

    /// Gives a verdict and waits until it is durable.
    pub(crate) async fn settle(&mut self, token: Token, verdict: Verdict) {
        self.consumer().settle(vec![(token, verdict)]);
        let mut passed = Vec::new();
        loop {
            match self.next().await {
                ConsumerEvent::Settled(settled) if settled == token => break,
                ConsumerEvent::Gone(gone) if gone == token => panic!("{gone:?} is gone"),
                other => passed.push(other),
            }
        }
        passed.into_iter().rev().for_each(|event| self.events.push_front(event));
    }

    /// Whether it has been told so far that a verdict is durable.
    pub(crate) fn has_settled(&mut self, token: Token) -> bool {
        self.events.extend(self.mailbox.try_take().into_iter().map(|(_, event)| event));
        self.events.iter().any(|event| matches!(event, ConsumerEvent::Settled(settled) if *settled == token))
    }

    pub(crate) fn nack(&self, token: Token, delay: Duration) {
        let verdict = Verdict::Nack { class: "temporary_failure".into(), reason: "not now".into(), delay: Some(delay) };
        self.consumer().settle(vec![(token, verdict)]);
    }

    pub(crate) async fn until_level(&mut self) {
        while !matches!(self.next().await, ConsumerEvent::Level) {}
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Whether nothing has been handed out after everybody has had many turns.
pub(crate) async fn is_quiet(session: &mut Session) -> bool {
    tokio::time::sleep(Duration::from_millis(150)).await;
    session.events.extend(session.mailbox.try_take().into_iter().map(|(_, event)| event));
    !session.events.iter().any(|event| matches!(event, ConsumerEvent::Deliver(_)))
}
