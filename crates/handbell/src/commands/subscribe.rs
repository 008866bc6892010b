//! `sub`: events of topics, printed as they come.

use std::time::Duration;

use handbell_protocol::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    cli::{Begin, SubArgs},
    client::{Delivery, ErrorFrame, Frame, Hello, Session, refusal},
    config::Config,
    failure::{COMPARE, Done, Failure},
    output::{Item, Screen, human, note, terminal_width},
    reach::{Side, place},
    signals::Interrupt,
};

/// The subscription's name; there is only one.
const SUB: &str = "s";
/// How many events may be out at once, and how many a look shows.
const CREDIT: u32 = 64;
/// A look at a group ends after so long without an event.
const QUIET: Duration = Duration::from_secs(1);
/// From so many columns on a terminal has room for the whole line.
const ROOMY: usize = 150;
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &SubArgs, config: &Config, screen: Screen, interrupt: Interrupt) -> Done {
    let place = place(&args.reach, config, Side::Agents)?;
    let url = place.url.clone();
    let hello = Hello { agent: args.agent.clone(), pools: vec![], capabilities: vec![], credit: 0 };
    let mut session = Session::connect(place, hello).await?;
    let mut reader = Reader { args, screen, url, takes: takes(args, screen), printed: 0 };
    let end = reader.read(&mut session, interrupt).await;
    session.end(end, GOODBYE).await
}

/// Whether what is printed is taken: always without a group, in a group only
/// where it is asked for, or a program reads.
fn takes(args: &SubArgs, screen: Screen) -> bool {
    args.group.is_none() || args.ack || screen.is_json()
}

struct Reader<'a> {
    args: &'a SubArgs,
    screen: Screen,
    url: String,
    takes: bool,
    printed: usize,
}

impl Reader<'_> {
    async fn read(&mut self, session: &mut Session, mut interrupt: Interrupt) -> Done {
        session.subscribe(SUB, frame(self.args, Timestamp::now())).await?;
        let mut quiet_since = Instant::now();
        loop {
            let quiet = quiet_since + QUIET;
            tokio::select! {
                () = interrupt.came() => return Err(Failure::interrupted()),
                () = tokio::time::sleep_until(quiet), if self.only_looks() => return Ok(()),
                frame = session.next() => {
                    quiet_since = Instant::now();
                    if self.take(session, &frame?).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// In a group that isn't followed and from which nothing is taken, held
    /// keys keep it from ever being level.
    fn only_looks(&self) -> bool {
        !self.takes && !self.args.follow
    }

    /// Takes a frame; tells whether the command is done.
    async fn take(&mut self, session: &mut Session, frame: &Frame) -> Result<bool, Failure> {
        match frame.op.as_str() {
            "deliver" => self.deliver(session, frame).await,
            "level" => Ok(!self.args.follow),
            "gap" => {
                if !self.screen.quiet {
                    note(&format!("retention removed events that were not read yet: {}", frame.text));
                }
                Ok(false)
            }
            "error" => Err(self.error(frame.read())),
            _ => Ok(false),
        }
    }

    async fn deliver(&mut self, session: &mut Session, frame: &Frame) -> Result<bool, Failure> {
        let Some(delivery) = frame.read::<Delivery>() else { return Ok(false) };
        self.print(&delivery)?;
        match self.takes {
            true => session.ack(&delivery.delivery).await?,
            false => session.leave(&delivery.delivery),
        }
        self.printed += 1;
        Ok(self.args.limit.is_some_and(|limit| self.printed >= limit))
    }

    fn print(&self, delivery: &Delivery) -> Done {
        use crate::cli::Format;
        let Delivery { event, payload, routing, position, .. } = delivery;
        match self.screen.format {
            Format::Json => self.screen.json_line(&Printed { event, payload, routing, position }),
            Format::Yaml => {
                self.screen.line("---")?;
                self.screen.item(&Item::of(&Printed { event, payload, routing, position }))
            }
            Format::Name => self.screen.line(&id(delivery)),
            Format::Table => {
                let room = if self.screen.is_terminal() { terminal_width() } else { None };
                self.screen.line(&row(delivery, room))
            }
            Format::Wide => self.screen.line(&whole_row(delivery)),
        }
    }

    fn error(&self, error: Option<ErrorFrame>) -> Failure {
        match error {
            Some(error) => refusal(error.code, error.reason, &self.url),
            None => Failure::failed("the sidecar tells an error that can't be read", self.url.clone(), COMPARE),
        }
    }
}

/// What `-o json` prints.
#[derive(serde::Serialize)]
struct Printed<'a> {
    event: &'a serde_json::value::RawValue,
    payload: &'a serde_json::value::RawValue,
    routing: &'a serde_json::value::RawValue,
    position: &'a str,
}

fn frame(args: &SubArgs, now: Timestamp) -> Map<String, Value> {
    let mut frame = json!({ "topics": args.topics, "credit": CREDIT, "level": true });
    frame["from"] = match args.from.clone().unwrap_or(if args.follow { Begin::New } else { Begin::Start }) {
        Begin::Start => "start".into(),
        Begin::New => "new".into(),
        Begin::Time(time) => json!({ "time": time }),
        Begin::Ago(ago) => json!({ "time": now.before(ago) }),
        Begin::Position(position) => json!({ "position": position }),
    };
    if let Some(filter) = &args.filter {
        frame["filter"] = filter.as_str().into();
    }
    if let Some(group) = &args.group {
        frame["group"] = group.as_str().into();
    }
    match frame {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn id(delivery: &Delivery) -> String {
    let event: Value = serde_json::from_str(delivery.event.get()).unwrap_or_default();
    human::text(&event["id"])
}

/// A line that fits the terminal, if there is one: without the chain where
/// that would leave no room for the payload.
fn row(delivery: &Delivery, room: Option<usize>) -> String {
    match (room, delivery.head()) {
        (Some(room), Some(head)) if room < ROOMY => {
            let time = human::time_of_day(&head.timestamp.into());
            let line = format!("{time}  {}  {}  {}", head.event_type, head.source, delivery.payload.get());
            human::cut(&line, room)
        }
        (Some(room), _) => human::cut(&whole_row(delivery), room),
        (None, _) => whole_row(delivery),
    }
}

/// A line for people: when, what, who, which chain, and the payload.
fn whole_row(delivery: &Delivery) -> String {
    let Some(head) = delivery.head() else { return delivery.event.get().to_owned() };
    let payload = delivery.payload.get();
    format!("{}  {:<28} {:<22} {}  {payload}", head.timestamp, head.event_type, head.source, head.correlation_id)
}
