//! `request`: ask an agent and wait for its answer.

use std::time::Duration;

use handbell_protocol::{frame::ReplyStatus, time::format_duration};
use serde_json::json;

use super::publish::{payload_of, rejected};
use crate::{
    cli::{Format, RequestArgs},
    client::{ErrorFrame, Frame, Hello, Reply, Session, Work, refusal},
    config::Config,
    failure::{Done, Failure},
    output::{Item, Screen, waiting},
    reach::{Side, place},
    signals::Interrupt,
};

/// An answer that comes at the deadline is still on its way.
const SLACK: Duration = Duration::from_secs(5);
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &RequestArgs, config: &Config, screen: Screen, interrupt: Interrupt) -> Done {
    let work = work(args)?;
    let place = place(&args.reach, config, Side::Agents)?;
    let url = place.url.clone();
    let hello = Hello { agent: args.agent.clone(), pools: vec![], capabilities: vec![], credit: 0 };
    let mut session = Session::connect(place, hello).await?;
    let end = interrupt.or(ask(&mut session, work, args, screen, &url)).await;
    session.end(end, GOODBYE).await
}

async fn ask(session: &mut Session, mut work: Work, args: &RequestArgs, screen: Screen, url: &str) -> Done {
    let call = format!("cli-{}", session.run());
    work.call = Some(call.clone());
    session.publish(work).await?;
    let wait = tokio::time::timeout(args.deadline + SLACK, answer(session, &call, url));
    let within = format_duration(args.deadline);
    let answered = waiting(screen, &format!("waiting for {}, at most {within}", args.to), wait).await;
    let (frame, reply) = answered.map_err(|_| Failure::failed("no answer came", url, "look at the agent"))??;
    session.ack(&reply.delivery).await?;
    tell(&frame, &reply, args, url, screen)
}

fn work(args: &RequestArgs) -> Result<Work, Failure> {
    Ok(Work {
        op: "request",
        seq: 0,
        event: json!({ "type": args.event_type }),
        payload: payload_of(args.payload.as_deref())?,
        routing: json!({ "to": args.to.to_string() }),
        call: None,
        deadline: Some(format_duration(args.deadline)),
    })
}

/// Replies to earlier calls of the same agent are settled and passed over.
async fn answer(session: &mut Session, call: &str, url: &str) -> Result<(Frame, Reply), Failure> {
    loop {
        let frame = session.next().await?;
        match frame.op.as_str() {
            "reply" => match frame.read::<Reply>() {
                Some(reply) if reply.call == call => return Ok((frame, reply)),
                Some(reply) => session.ack(&reply.delivery).await?,
                None => {}
            },
            "rejected" => return Err(rejected(frame.read(), url)),
            "error" => {
                if let Some(error) = frame.read::<ErrorFrame>() {
                    return Err(refusal(error.code, error.reason, url));
                }
            }
            _ => {}
        }
    }
}

/// An answer's payload goes to standard output, also that of an error; the
/// status tells whether that is what was asked for.
fn tell(frame: &Frame, reply: &Reply, args: &RequestArgs, url: &str, screen: Screen) -> Done {
    let answered = matches!(reply.status, ReplyStatus::Ok | ReplyStatus::Default | ReplyStatus::Error);
    match screen.format {
        Format::Json => screen.line(&frame.text)?,
        Format::Yaml => screen.item(&Item::of(reply))?,
        _ if answered => screen.line(reply.payload.get())?,
        _ => {}
    }
    let to = &args.to;
    let (what, how) = match reply.status {
        ReplyStatus::Ok | ReplyStatus::Default => return Ok(()),
        ReplyStatus::Error => (format!("{to} answered with an error"), "its reason is in the payload"),
        ReplyStatus::Timeout => {
            let within = format_duration(args.deadline);
            (format!("{to} did not answer within {within}"), "give it longer with --deadline")
        }
        ReplyStatus::NoResponders => (format!("nobody is there as {to}"), "handbell agent list shows who is there"),
        ReplyStatus::Unavailable => {
            ("the request could not be carried".into(), "handbell version and /readyz tell more")
        }
        ReplyStatus::Cancelled => ("the request was cancelled".into(), "ask again"),
    };
    Err(Failure::failed(what, url, how))
}
