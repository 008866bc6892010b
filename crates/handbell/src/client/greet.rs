//! Opening a connection and being welcomed, or not.

use handbell_protocol::{AgentName, Code, Segment, frame::Welcome};
use serde::Serialize;
use tokio_tungstenite::tungstenite::Error;

use super::{
    address::Address,
    frames::{ErrorFrame, Frame},
    socket::{Incoming, Socket},
};
use crate::{
    failure::{COMPARE, Exit, Failure},
    reach::Place,
};

/// Who the agent is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hello {
    pub(crate) agent: AgentName,
    pub(crate) pools: Vec<Segment>,
    pub(crate) capabilities: Vec<Segment>,
    pub(crate) credit: u32,
}

/// Why there is no session.
pub(super) enum Lost {
    /// Trying again may help.
    Now(Failure),
    /// It won't.
    For(Failure),
}

impl Lost {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Now(failure) | Self::For(failure) => failure,
        }
    }
}

/// Opens a connection and waits for `welcome`; for those that need no more
/// than the socket.
pub(crate) async fn connect(place: &Place, hello: &Hello) -> Result<(Socket, Welcome), Failure> {
    let address = Address::parse(place)?;
    greet(place, &address, hello, None).await.map_err(Lost::into_failure)
}

/// Whether a sidecar answers there. It is not told who asks.
pub(crate) async fn reach(place: &Place) -> Result<(), Failure> {
    match Socket::open(&Address::parse(place)?).await {
        Ok(_) => Ok(()),
        Err(error) => Err(not_opened(place, &error).into_failure()),
    }
}

/// Opens a connection and waits for `welcome`.
pub(super) async fn greet(
    place: &Place,
    address: &Address,
    hello: &Hello,
    resume: Option<&str>,
) -> Result<(Socket, Welcome), Lost> {
    let mut socket = Socket::open(address).await.map_err(|error| not_opened(place, &error))?;
    let mut frame = serde_json::to_value(hello).expect("a hello has text keys");
    frame["op"] = "hello".into();
    for (member, value) in [("token", place.token.as_deref()), ("resume", resume)] {
        if let Some(value) = value {
            frame[member] = value.into();
        }
    }
    socket.send(&frame.to_string()).await.map_err(|error| not_opened(place, &error))?;
    loop {
        match socket.next().await {
            Incoming::Closed(_) => return Err(Lost::Now(unreachable(place, "the connection was closed"))),
            Incoming::Text(text) => match Frame::parse(text) {
                Some(frame) if frame.op == "welcome" => {
                    let welcome = frame.read().ok_or_else(|| Lost::For(foreign(place)))?;
                    return Ok((socket, welcome));
                }
                Some(frame) if frame.op == "error" => return Err(Lost::For(denied(place, frame.read()))),
                _ => {}
            },
        }
    }
}

fn not_opened(place: &Place, error: &Error) -> Lost {
    match error {
        Error::Http(answer) if answer.status() == 403 => Lost::For(Failure::new(
            Exit::Refused,
            "the sidecar refuses this Host",
            place.url.clone(),
            "connect by 127.0.0.1 or localhost",
        )),
        Error::Http(answer) if answer.status() == 503 => Lost::Now(unreachable(place, "it takes no new agents now")),
        Error::Http(answer) => Lost::For(Failure::new(
            Exit::Unreachable,
            format!("this is no sidecar: it answers {}", answer.status()),
            place.named_by.clone(),
            "give the agents' address, as the line \"ready\" prints it",
        )),
        Error::Io(error) => Lost::Now(unreachable(place, &error.to_string())),
        other => Lost::Now(unreachable(place, &other.to_string())),
    }
}

fn unreachable(place: &Place, why: &str) -> Failure {
    let what = format!("no sidecar answers at {}: {why}", place.url);
    let how = "start one with handbell dev, or name its address with --url";
    Failure::new(Exit::Unreachable, what, place.named_by.clone(), how)
}

fn foreign(place: &Place) -> Failure {
    Failure::failed("its welcome can't be read", place.url.clone(), COMPARE)
}

fn denied(place: &Place, error: Option<ErrorFrame>) -> Failure {
    let Some(error) = error else { return foreign(place) };
    let reason = match (error.code, &place.token) {
        (Code::Unauthorized, None) => format!("{} (no token was sent)", error.reason),
        _ => error.reason,
    };
    refusal(error.code, reason, &place.url)
}

/// How to mend what is refused without a word about it.
fn how(code: Code) -> &'static str {
    match code {
        Code::Unauthorized => "give the agent's token with --token-file or HANDBELL_TOKEN_FILE",
        Code::ForbiddenSource => "leave event.source out",
        Code::ForbiddenTopic => "use another topic, or have agents.scopes and the topic's declaration widened",
        Code::UnknownTopic => "declare it under topics in the configuration",
        Code::InvalidEnvelope => "mend the event; docs/protocol.md says what each member may be",
        Code::InvalidPayload => "mend the payload; the topic's key schema in the configuration names what it must meet",
        Code::TooLarge => "store the data elsewhere and send its address",
        Code::GroupMismatch => "leave the setting out, or choose another group",
        Code::BadFilter => "write key=value[,key=value…], or CEL",
        Code::Busy | Code::BackendUnavailable | Code::InDoubt => "try again later",
        _ => COMPARE,
    }
}

/// A refusal's exit code follows from its code.
pub(crate) fn refusal(code: Code, reason: String, place: &str) -> Failure {
    let exit = match code {
        Code::Unauthorized | Code::ForbiddenSource | Code::ForbiddenTopic => Exit::Refused,
        _ => Exit::Failed,
    };
    let (what, how) = reason.split_once("; ").unwrap_or((&reason, how(code)));
    Failure::new(exit, format!("{}: {what}", code.as_str()), place, how)
}
