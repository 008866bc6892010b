//! `respond`: answer requests with a command, or by hand.

use std::{ffi::OsStr, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use handbell_protocol::Json;
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Stdin},
    process::Command,
};

use crate::{
    cli::RespondArgs,
    client::{Delivery, ErrorFrame, Frame, Hello, Session, refusal},
    config::Config,
    failure::{Done, Failure},
    output::{Screen, note},
    reach::{Side, place},
    signals::Interrupt,
};

const GOODBYE: Duration = Duration::from_secs(5);
/// What a command may print; more is cut off by ending it.
const MAX_OUTPUT: usize = 1 << 20;

pub(crate) async fn run(args: &RespondArgs, config: &Config, screen: Screen, mut interrupt: Interrupt) -> Done {
    if let Some(program) = args.command.first() {
        check_program(program, std::env::var_os("PATH").unwrap_or_default().as_os_str())?;
    }
    let place = place(&args.reach, config, Side::Agents)?;
    let url = place.url.clone();
    let hello = Hello {
        agent: args.agent.clone(),
        pools: args.pools.clone(),
        capabilities: args.capabilities.clone(),
        credit: 1,
    };
    let mut session = Session::connect(place, hello).await?;
    if !screen.quiet {
        note(&format!("waiting for requests as {}", args.agent));
    }
    let mut responder = Responder { args, screen, url, lines: BufReader::new(tokio::io::stdin()) };
    let end = tokio::select! {
        () = interrupt.came() => Err(Failure::interrupted()),
        end = responder.serve(&mut session) => end,
    };
    session.end(end, GOODBYE).await
}

struct Responder<'a> {
    args: &'a RespondArgs,
    screen: Screen,
    url: String,
    lines: BufReader<Stdin>,
}

/// What handling a delivery came to.
enum Outcome {
    Answer(Json),
    Error(String),
    /// Standard input has ended.
    NoMore,
}

impl Responder<'_> {
    async fn serve(&mut self, session: &mut Session) -> Done {
        loop {
            let frame = session.next().await?;
            match frame.op.as_str() {
                "deliver" if self.handle(session, &frame).await? => return Ok(()),
                "error" => self.error(&frame)?,
                _ => {}
            }
        }
    }

    fn error(&self, frame: &Frame) -> Done {
        match frame.read::<ErrorFrame>() {
            Some(error) => Err(refusal(error.code, error.reason, &self.url)),
            None => Ok(()),
        }
    }

    /// Handles one delivery; tells whether the command is done.
    async fn handle(&mut self, session: &mut Session, frame: &Frame) -> Result<bool, Failure> {
        let Some(delivery) = frame.read::<Delivery>() else { return Ok(false) };
        let outcome = {
            let work = work(self.args, self.screen, &mut self.lines, &delivery);
            tokio::pin!(work);
            // The socket is read meanwhile: pings are answered, a cancel is heard.
            loop {
                tokio::select! {
                    outcome = &mut work => break Some(outcome?),
                    frame = session.next() => if cancels(&frame?, &delivery) { break None },
                }
            }
        };
        match outcome {
            None => {
                if !self.screen.quiet {
                    note(&format!("the caller has cancelled {}", delivery.delivery));
                }
                return Ok(false);
            }
            Some(Outcome::NoMore) => return Ok(true),
            Some(outcome) => self.settle(session, &delivery, &outcome).await?,
        }
        Ok(self.args.once)
    }
}

fn cancels(frame: &Frame, delivery: &Delivery) -> bool {
    #[derive(serde::Deserialize)]
    struct Named {
        delivery: String,
    }
    frame.op == "cancelled" && frame.read::<Named>().is_some_and(|named| named.delivery == delivery.delivery)
}

/// The frame that settles a delivery.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Settlement<'a> {
    Respond {
        delivery: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
        /// As written.
        payload: &'a Json,
        confirm: bool,
    },
    Nack {
        delivery: &'a str,
        class: &'static str,
        reason: &'a str,
        confirm: bool,
    },
    Ack {
        deliveries: [&'a str; 1],
        confirm: bool,
    },
}

/// Why a command has no answer, as a payload.
#[derive(Serialize)]
struct Fault<'a> {
    reason: &'a str,
}

impl Responder<'_> {
    /// A request is answered; other direct work is acked, or tried again.
    async fn settle(&self, session: &mut Session, delivery: &Delivery, outcome: &Outcome) -> Done {
        let id = delivery.delivery.as_str();
        let (confirm, is_request) = (true, delivery.call.is_some());
        let fault;
        let frame = match outcome {
            Outcome::Answer(payload) if is_request => {
                Settlement::Respond { delivery: id, status: None, payload, confirm }
            }
            Outcome::Error(reason) if is_request => {
                fault = Json::of(&Fault { reason }).unwrap_or_default();
                Settlement::Respond { delivery: id, status: Some("error"), payload: &fault, confirm }
            }
            Outcome::Error(reason) => Settlement::Nack { delivery: id, class: "temporary_failure", reason, confirm },
            Outcome::Answer(_) | Outcome::NoMore => Settlement::Ack { deliveries: [id], confirm },
        };
        session.settle(id, &frame).await
    }
}

/// Finds the command before anybody is told that it will answer.
fn check_program(program: &str, path: &OsStr) -> Done {
    let found = match program.contains('/') {
        true => is_program(Path::new(program)),
        false => std::env::split_paths(path).any(|folder| is_program(&folder.join(program))),
    };
    match found {
        true => Ok(()),
        false => {
            let how = "name a program that is there, or its whole path; it must be executable";
            Err(Failure::usage(format!("there is no program {program}"), "COMMAND", how))
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

async fn work(
    args: &RespondArgs,
    screen: Screen,
    lines: &mut BufReader<Stdin>,
    delivery: &Delivery,
) -> Result<Outcome, Failure> {
    match args.command.split_first() {
        Some((program, arguments)) => command(program, arguments, delivery).await,
        None => by_hand(screen, lines, delivery).await,
    }
}

/// Shows the request and takes a line as the answer.
async fn by_hand(screen: Screen, lines: &mut BufReader<Stdin>, delivery: &Delivery) -> Result<Outcome, Failure> {
    let head = delivery.head();
    let (kind, from) = head.as_ref().map_or(("?", "?"), |head| (&head.event_type, &head.source));
    screen.line(&format!("{kind} from {from}: {}", delivery.payload.get()))?;
    let mut line = String::new();
    let read = lines.read_line(&mut line).await;
    match read {
        Ok(0) => Ok(Outcome::NoMore),
        Ok(_) => Ok(Outcome::Answer(answer(&line))),
        Err(error) => {
            let what = format!("standard input can't be read: {error}");
            Err(Failure::failed(what, "standard input", "give each answer as a line of UTF-8"))
        }
    }
}

/// Runs the command: the payload on its standard input, its standard output
/// is the answer. Dropping this ends the command.
async fn command(program: &str, arguments: &[String], delivery: &Delivery) -> Result<Outcome, Failure> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    command.env("HANDBELL_ATTEMPT", delivery.attempt.to_string());
    command.env("HANDBELL_IDEMPOTENCY_KEY", &delivery.idempotency_key);
    let mut child = command.spawn().map_err(|error| {
        Failure::failed(format!("{program} can't be started: {error}"), "COMMAND", "name a program that is there")
    })?;
    let payload = delivery.payload.get().to_owned();
    if let Some(mut stdin) = child.stdin.take() {
        // A command that doesn't read its input is none the worse for it.
        tokio::spawn(async move { stdin.write_all(payload.as_bytes()).await });
    }
    let done = child.wait_with_output().await;
    let done = done.map_err(|error| {
        let what = format!("{program} can't be waited for: {error}");
        Failure::failed(what, "COMMAND", "start it again")
    })?;
    if !done.status.success() {
        return Ok(Outcome::Error(format!("{program}: {}", done.status)));
    }
    if done.stdout.len() > MAX_OUTPUT {
        return Ok(Outcome::Error(format!("{program} printed {} bytes, more than {MAX_OUTPUT}", done.stdout.len())));
    }
    Ok(Outcome::Answer(answer(&String::from_utf8_lossy(&done.stdout))))
}

/// As JSON where it is JSON, with every digit as written; else as text
/// without its last line end.
fn answer(text: &str) -> Json {
    let as_text = || Json::of(text.trim_end_matches(['\n', '\r'])).unwrap_or_default();
    Json::from_text(text.trim().to_owned()).unwrap_or_else(|_| as_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_as_written_or_text() {
        for (printed, answered) in [
            ("{\"a\": 1}\n", "{\"a\": 1}"),
            ("hello\n", "\"hello\""),
            ("", "\"\""),
            ("{\"text\":\"hi \\ud83c\"}\n", "{\"text\":\"hi \\ud83c\"}"),
            ("[1e400,12345678901234567890123]", "[1e400,12345678901234567890123]"),
        ] {
            assert_eq!(answer(printed).as_str(), answered);
        }
    }

    #[test]
    fn a_program_is_found_by_its_path_or_its_name() {
        let path = OsStr::new("/none:/bin:/usr/bin");
        assert!(check_program("sh", path).is_ok() && check_program("/bin/sh", path).is_ok());
        for absent in ["/no/such/cmd", "no-such-cmd", "/bin", "/etc/passwd"] {
            assert_eq!(check_program(absent, path).unwrap_err().exit, crate::failure::Exit::Usage, "{absent}");
        }
    }
}
