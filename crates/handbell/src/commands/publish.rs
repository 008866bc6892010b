//! `pub`: one event, durable when this returns.

use std::{
    io::{IsTerminal, Read},
    time::Duration,
};

use handbell_protocol::{BadName, Json, Topic, frame::Published};
use serde_json::{Value, json};

use crate::{
    cli::PubArgs,
    client::{Hello, Rejected, Session, Work, refusal},
    config::Config,
    failure::{COMPARE, Done, Failure},
    output::{Screen, note, waiting},
    reach::{Side, place},
    signals::Interrupt,
};

pub(crate) async fn run(args: &PubArgs, config: &Config, screen: Screen, interrupt: Interrupt) -> Done {
    let frame = frame(args)?;
    let place = place(&args.reach, config, Side::Agents)?;
    let url = place.url.clone();
    let hello = Hello { agent: args.agent.clone(), pools: vec![], capabilities: vec![], credit: 0 };
    let mut session = Session::connect(place, hello).await?;
    let end = interrupt.or(store(&mut session, frame, args, screen, &url)).await;
    session.end(end, Duration::ZERO).await
}

async fn store(session: &mut Session, frame: Work, args: &PubArgs, screen: Screen, url: &str) -> Done {
    session.publish(frame).await?;
    loop {
        let frame = waiting(screen, "waiting until it is stored", session.next()).await?;
        match frame.op.as_str() {
            "published" => return tell(&frame.text, frame.read(), args, screen),
            "rejected" => return Err(rejected(frame.read(), url)),
            _ => {}
        }
    }
}

/// The `publish` frame; nothing is sent before it is complete.
fn frame(args: &PubArgs) -> Result<Work, Failure> {
    let (routing, payload) = routing(args)?;
    let mut event = json!({ "type": args.event_type });
    if let Some(correlation) = &args.correlation {
        event["correlation_id"] = correlation.as_str().into();
    }
    let payload = payload_of(payload)?;
    Ok(Work { op: "publish", seq: 0, event, payload, routing, call: None, deadline: None })
}

fn routing(args: &PubArgs) -> Result<(Value, Option<&str>), Failure> {
    let (mut routing, payload) = match (&args.to, &args.first, &args.second) {
        (Some(_), Some(_), Some(_)) => {
            return Err(Failure::usage("a topic and --to are given both", "--to", "give one of the two"));
        }
        (Some(to), payload, None) => (json!({ "to": to.to_string() }), payload.as_deref()),
        (None, Some(topic), payload) => {
            let bad = |bad: BadName| Failure::usage(bad.to_string(), "TOPIC", "for direct work use --to");
            Topic::parse(topic).map_err(bad)?;
            (json!({ "topic": topic }), payload.as_deref())
        }
        _ => return Err(Failure::usage("nobody is named who should get it", "TOPIC", "give a topic, or --to")),
    };
    for (member, value) in [("partition_key", &args.key), ("priority", &args.priority)] {
        if let Some(value) = value {
            routing[member] = value.as_str().into();
        }
    }
    Ok((routing, payload))
}

/// The payload's JSON: as typed, or all of standard input for `-`.
pub(super) fn payload_of(argument: Option<&str>) -> Result<Json, Failure> {
    let text = match argument {
        None => return Ok(Json::null()),
        Some("-") => standard_input()?,
        Some(text) => text.to_owned(),
    };
    Json::from_text(text.trim().to_owned()).map_err(|error| {
        let how = "write JSON; a text needs quotes of its own: '\"hello\"'";
        Failure::usage(format!("the payload is no JSON: {error}"), "PAYLOAD", how)
    })
}

fn standard_input() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        note("type the payload as JSON, and end it with Ctrl-D on a line of its own");
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| {
        Failure::usage(format!("standard input can't be read: {error}"), "PAYLOAD", "give the payload in UTF-8")
    })?;
    Ok(text)
}

fn tell(frame: &str, published: Option<Published>, args: &PubArgs, screen: Screen) -> Done {
    let Some(published) = published else { return screen.line(frame) };
    match screen.format {
        crate::cli::Format::Json => screen.line(frame),
        crate::cli::Format::Yaml => screen.value(&json!(published)),
        crate::cli::Format::Name => screen.line(&published.id),
        _ if screen.quiet => Ok(()),
        _ => {
            let target = args.to.as_ref().map(ToString::to_string).or_else(|| args.first.clone()).unwrap_or_default();
            let again = if published.duplicate { " (it was stored before)" } else { "" };
            screen.line(&format!("published {} to {target}{again}", published.id))
        }
    }
}

/// A refusal in words.
pub(super) fn rejected(rejected: Option<Rejected>, url: &str) -> Failure {
    match rejected {
        Some(rejected) => refusal(rejected.code, rejected.reason, url),
        None => Failure::failed("it was rejected", url, COMPARE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json() {
        assert_eq!(payload_of(None).unwrap(), Json::null());
        assert_eq!(payload_of(Some(" {\"a\": 1e400}\n")).unwrap().as_str(), "{\"a\": 1e400}");
        assert!(payload_of(Some("hello")).is_err());
    }
}
