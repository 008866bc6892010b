//! The first frame of a connection: who is it, and which session is it?

use std::sync::Arc;

use handbell_protocol::{
    Code, Producer,
    event::id::base32,
    frame::{ClientFrame, ErrorFrame, Hello, ServerFrame, Welcome},
};
use tokio::sync::mpsc;

use super::{
    actor::{Actor, Command},
    outbox::Outbox,
    registry::Entry,
    server::{RESUMED, Shared, random},
    wire::{BINARY, Incoming, Turn, Wire},
};
use crate::{
    auth::Resumption,
    http::Handshake,
    session::{Bounds, Session, SessionSetup},
};

/// How many commands may wait for a session; most sessions have none.
const COMMANDS: usize = 64;
const DEFAULT_CREDIT: u32 = 16;

/// Why a connection is closed before it has a session.
struct Refused {
    frame: Option<Box<ErrorFrame>>,
    code: u16,
    reason: String,
}

/// Serves a connection until its `hello` has found its session.
pub(super) async fn greet(shared: Arc<Shared>, mut wire: Box<Wire>, handshake: Arc<Handshake>) {
    let mut outbox = Outbox::default();
    let said = tokio::select! {
        said = first_frame(&mut wire) => Ok(said),
        why = handshake.over() => Err(why),
    };
    let result = match said {
        Ok(Some((first, rest))) => match hello_of(&first) {
            Ok(hello) => welcome(&shared, hello).await.map(|seat| (seat, rest)),
            Err(refused) => Err(refused),
        },
        Ok(None) => return,
        Err(why) => Err(Refused { frame: None, code: 1008, reason: why.into() }),
    };
    match result {
        Ok((Seat::Same(entry), rest)) => {
            drop(handshake);
            if let Err(failed) = entry.commands.send(Command::Attach(wire, rest)).await
                && let Command::Attach(wire, _) = failed.0
            {
                outbox.close(1013, "the session has just ended; connect again");
                shared.see_off(wire, outbox);
            }
        }
        Ok((Seat::New(actor), rest)) => {
            drop(handshake);
            actor.run(wire, rest).await;
        }
        Err(refused) => {
            if let Some(frame) = refused.frame {
                outbox.frame(&ServerFrame::Error(*frame));
            }
            outbox.close(refused.code, &refused.reason);
            tokio::select! {
                biased;
                () = wire.see_off(outbox) => {}
                () = handshake.cut() => {}
            }
        }
    }
}

/// The first frame, and those that were read with it.
async fn first_frame(wire: &mut Wire) -> Option<(Incoming, Vec<Incoming>)> {
    let mut outbox = Outbox::default();
    loop {
        match wire.turn(&mut outbox, true).await {
            Turn::Lost => return None,
            Turn::Moved { frames, .. } => {
                let mut frames = frames.into_iter().skip_while(|frame| matches!(frame, Incoming::Pong));
                match frames.next() {
                    Some(Incoming::Closed) => return None,
                    Some(first) => return Some((first, frames.collect())),
                    None => {}
                }
            }
        }
    }
}

fn hello_of(first: &Incoming) -> Result<Hello, Refused> {
    match first {
        Incoming::Text(text) => match ClientFrame::parse(text) {
            Ok(ClientFrame::Hello(hello)) => Ok(hello),
            Ok(_) => Err(refused(Code::Protocol, "the first frame is hello, with the agent's name", None)),
            Err(error) => Err(refused(Code::Protocol, &error.reason, error.op)),
        },
        Incoming::Binary(_) => Err(Refused { frame: None, code: BINARY.0, reason: BINARY.1.into() }),
        Incoming::Foul(code, reason) => Err(Refused { frame: None, code: *code, reason: (*reason).into() }),
        Incoming::Pong | Incoming::Closed => Err(refused(Code::Protocol, "the first frame is hello", None)),
    }
}

fn refused(code: Code, reason: &str, op: Option<String>) -> Refused {
    let frame = ErrorFrame {
        code,
        reason: reason.to_owned(),
        op_ref: op.or_else(|| Some("hello".into())),
        sub: None,
        seq: None,
        delivery: None,
        call: None,
    };
    Refused { frame: Some(Box::new(frame)), code: 1008, reason: code.as_str().into() }
}

/// The session of a connection.
enum Seat {
    /// The same as before.
    Same(Entry),
    /// A new one.
    New(Box<Actor>),
}

async fn welcome(shared: &Arc<Shared>, hello: Hello) -> Result<Seat, Refused> {
    if let Some(tokens) = &shared.options.tokens
        && !hello.token.as_deref().is_some_and(|token| tokens.allow(&hello.agent, token))
    {
        let reason = format!("the token is not {}'s; give the one of its line in the tokens file", hello.agent);
        return Err(refused(Code::Unauthorized, &reason, None));
    }
    let resumption = match &hello.resume {
        None => None,
        Some(token) => match shared.resume_key.open(token) {
            Some(resumption) if resumption.producer.agent == hello.agent => Some(resumption),
            _ => {
                let reason = "resume is not this agent's last welcome.resume; leave it out to begin anew";
                return Err(refused(Code::Unauthorized, reason, None));
            }
        },
    };
    if let Some(entry) = resumption.as_ref().and_then(|resumption| shared.registry.get(&resumption.session)) {
        return Ok(Seat::Same(entry));
    }
    Ok(Seat::New(Box::new(new_session(shared, hello, resumption).await)))
}

async fn new_session(shared: &Arc<Shared>, hello: Hello, resumption: Option<Resumption>) -> Actor {
    let now = shared.clock.now();
    let goes_on = resumption.is_some();
    if let Some(resumption) = &resumption {
        shared.member.signal(handbell_delivery::Signal { kind: RESUMED.into(), body: resumption.session.clone() });
    }
    let producer = resumption.map_or_else(
        || Producer { agent: hello.agent.clone(), nonce: base32(&random::<10>()), born: now.wall },
        |resumption| resumption.producer,
    );
    let session = base32(&random::<10>());
    let (sender, commands) = mpsc::channel(COMMANDS);
    let entry = Entry {
        agent: hello.agent.clone(),
        pools: hello.pools.clone(),
        capabilities: hello.capabilities.clone(),
        token: hello.token.as_deref().map(Into::into),
        commands: sender,
    };
    shared.remember(session.clone(), entry);
    let welcome = welcome_frame(shared, session, &producer);
    let setup = setup(shared, hello, producer, goes_on);
    Actor::new(shared.clone(), Session::new(setup, now), welcome, commands)
}

fn setup(shared: &Shared, hello: Hello, producer: Producer, goes_on: bool) -> SessionSetup {
    let limits = &shared.options.limits;
    SessionSetup {
        producer,
        goes_on,
        member: shared.member.id().as_str().to_owned(),
        pools: hello.pools,
        capabilities: hello.capabilities,
        credit: hello.credit.unwrap_or(DEFAULT_CREDIT),
        secret: random(),
        policy: shared.policy.clone(),
        bounds: Bounds {
            publish_window: limits.publish_window,
            max_event: shared.max_event,
            max_subscriptions: limits.max_subscriptions,
            max_calls: limits.max_calls,
            resume_window: limits.resume_window,
            partitions: shared.member.backend().capabilities().partitions,
        },
        trace: shared.options.trace.clone(),
    }
}

fn welcome_frame(shared: &Shared, session: String, producer: &Producer) -> Welcome {
    let limits = &shared.options.limits;
    let resume = shared.resume_key.seal(&Resumption { session: session.clone(), producer: producer.clone() });
    Welcome {
        session,
        producer: producer.to_string(),
        resume,
        resumed: false,
        heartbeat_ms: u64::try_from(limits.heartbeat.as_millis()).unwrap_or(u64::MAX),
        max_frame: limits.max_frame,
        max_event: shared.max_event,
        publish_window: limits.publish_window,
    }
}
