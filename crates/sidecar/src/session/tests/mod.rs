//! The session's behaviour, frame by frame, with the backend and the
//! consumers played by the test.

mod answers;
mod calls;
mod life;
mod outputs;
mod publishing;

use std::sync::Arc;

use handbell_backend::{
    Class, Headers, Incarnation, Outgoing, Partition, Position, PublishError, Record, Stored, header,
};
use handbell_delivery::{ConsumerEvent, ConsumerKey, Delivered, Leave, Token, Verdict};
use handbell_protocol::{
    AgentName, Envelope, Lane, Producer, Target, Timestamp, Topic, frame::ClientFrame, trace::TraceIds,
};
use serde_json::{Value, json};

use super::*;

struct Nobody;

impl Directory for Nobody {
    fn is_present(&self, _: &Target) -> bool {
        false
    }
    fn agents(&self) -> Vec<AgentName> {
        Vec::new()
    }
}

struct Everybody;

impl Directory for Everybody {
    fn is_present(&self, _: &Target) -> bool {
        true
    }
    fn agents(&self) -> Vec<AgentName> {
        ["/a", "/b", "/c"].map(|name| AgentName::parse(name).unwrap()).into()
    }
}

struct Play {
    session: Session,
    now: Now,
    next_token: u64,
}

impl Play {
    fn new() -> Self {
        Self::with(Policy::default(), 4)
    }

    fn with(policy: Policy, publish_window: usize) -> Self {
        let agent = AgentName::parse("/a").unwrap();
        let setup = SessionSetup {
            producer: Producer { agent, nonce: "n".into(), born: Timestamp::default() },
            goes_on: false,
            member: "m1".into(),
            pools: vec![],
            capabilities: vec![],
            credit: 16,
            secret: [1; 32],
            policy: Arc::new(policy),
            bounds: Bounds {
                publish_window,
                max_event: 1_000,
                max_subscriptions: 4,
                max_calls: 3,
                resume_window: Duration::from_secs(30),
                partitions: PartitionCount::default(),
            },
            trace: TraceIds::default(),
        };
        let now = Now::default();
        let mut session = Session::new(setup, now);
        session.effects();
        Self { session, now, next_token: 0 }
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        self.session.handle(self.now, &Everybody, input);
        self.session.effects()
    }

    fn say(&mut self, frame: &Value) -> Vec<Effect> {
        let frame = ClientFrame::parse(&frame.to_string()).map_err(Box::new);
        self.input(Input::Frame(frame))
    }

    /// Says it and stores what it publishes; what the agent is told.
    fn say_stored(&mut self, frame: &Value) -> Vec<Value> {
        let effects = self.say(frame);
        self.store(effects)
    }

    fn store(&mut self, effects: Vec<Effect>) -> Vec<Value> {
        let mut told = frames(&effects);
        for (ticket, records) in publishes(effects) {
            let effects = self.input(Input::Receipt(ticket, Ok(stored(&records[0], false))));
            told.extend(self.store(effects));
        }
        told
    }

    fn fail(&mut self, effects: Vec<Effect>, error: &PublishError) -> Vec<Value> {
        let mut told = frames(&effects);
        for (ticket, _) in publishes(effects) {
            told.extend(frames(&self.input(Input::Receipt(ticket, Err(error.clone())))));
        }
        told
    }

    fn subscribe(&mut self) -> ConsumerKey {
        let effects = self.say(&json!({"op":"subscribe","sub":"s","topics":["t"],"group":"g"}));
        let Some(Effect::Join(key, _)) = effects.last() else { panic!("no join in {effects:?}") };
        let key = *key;
        assert_eq!(frames(&self.input(Input::Joined(key, Ok(()))))[0]["op"], "subscribed");
        key
    }

    /// An answer comes; its token and what the agent is told.
    fn hear(&mut self, record: Record) -> (Token, Value) {
        self.next_token += 1;
        let token = Token(self.next_token);
        let delivered = Delivered { token, record: Arc::new(record), attempt: 1, idempotency_key: "k".into() };
        (token, frames(&self.input(Input::Consumer(DIRECT, ConsumerEvent::Deliver(delivered)))).remove(0))
    }

    /// Delivers an event to a consumer; its delivery ID and its token.
    fn deliver(&mut self, key: ConsumerKey, record: Record) -> (String, Token) {
        self.next_token += 1;
        let token = Token(self.next_token);
        let delivered = Delivered { token, record: Arc::new(record), attempt: 1, idempotency_key: "k".into() };
        let told = frames(&self.input(Input::Consumer(key, ConsumerEvent::Deliver(delivered))));
        (told[0]["delivery"].as_str().unwrap().to_owned(), token)
    }
}

fn frames(effects: &[Effect]) -> Vec<Value> {
    let text = |effect: &Effect| match effect {
        Effect::Send(frame) => Some(serde_json::from_str(&frame.to_text()).unwrap()),
        _ => None,
    };
    effects.iter().filter_map(text).collect()
}

fn publishes(effects: Vec<Effect>) -> Vec<(Ticket, Vec<Outgoing>)> {
    let publish = |effect| match effect {
        Effect::Publish(ticket, records) => Some((ticket, records)),
        _ => None,
    };
    effects.into_iter().filter_map(publish).collect()
}

fn verdicts(effects: &[Effect]) -> Vec<Verdict> {
    let settle = |effect: &Effect| match effect {
        Effect::Settle(_, verdicts) => verdicts.iter().map(|(_, verdict)| verdict.clone()).collect(),
        _ => Vec::new(),
    };
    effects.iter().flat_map(settle).collect()
}

fn position() -> Position {
    Position {
        log: "".into(),
        incarnation: Incarnation(1),
        class: Class::Ev,
        lane: Lane::Regular,
        partition: Partition(0),
        offset: 1,
        time: Timestamp::default(),
    }
}

fn stored(outgoing: &Outgoing, duplicate: bool) -> Stored {
    Stored { position: position(), id: outgoing.envelope.event.id.clone(), duplicate }
}

fn record(id: &str, headers: Headers) -> Record {
    let envelope: Envelope = serde_json::from_value(json!({
        "event": {"id": id, "type": "X", "source": "/b", "timestamp": "1970-01-01T00:00:00Z", "version": "1.0", "correlation_id": "c"},
        "payload": 1, "routing": {"topic": "t", "priority": "normal"}
    }))
    .unwrap();
    Record { position: position(), topic: Topic::parse("t").unwrap(), envelope: Arc::new(envelope), headers }
}

fn call_headers() -> Headers {
    Headers::default()
        .with(header::CALL, "c1")
        .with(header::REPLY_TO, "/b")
        .with(header::CALLER, "/b#x")
        .with(header::EXPIRY, Timestamp::from_millis(30_000).to_string())
}

fn publish_frame(seq: u64) -> Value {
    json!({"op":"publish","seq":seq,"event":{"type":"X"},"payload":seq,"routing":{"topic":"t"}})
}
