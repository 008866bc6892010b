//! What is printed: tables for people as soon as a part is done, or one JSON
//! object at the end; progress on standard error.

use std::io::IsTerminal as _;

use serde_json::{Value as Json, json};

use super::{disk::Disk, own::TempDir, plan::Plan};
use crate::{
    cli::BenchPart,
    commands::version::VERSION,
    failure::{Done, Failure},
    output::{Column, Item, Screen},
};

/// The run's answer, as it grows.
pub(super) struct Report {
    screen: Screen,
    json: Json,
}

impl Report {
    /// Looks at the machine, and says what is measured on what.
    pub(super) fn begin(plan: &Plan, screen: Screen) -> Result<Self, Failure> {
        let disk = match &plan.running {
            Some(_) => None,
            None => Some(Disk::of(TempDir::new(&plan.dir)?.path())),
        };
        let sync = disk.as_ref().and_then(|disk| disk.sync).map(|sync| sync.as_micros());
        let kind = disk.as_ref().map(|disk| disk.kind.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let json = json!({
            "version": VERSION, "cores": cores, "rounds": plan.rounds, "set": plan.set,
            "measured": plan.running.as_ref().map_or("a sidecar of the bench's own", |place| &place.url),
            "disk": { "type": kind, "sync_us": sync }, "parts": {},
        });
        let report = Self { screen, json };
        if !report.is_machine() {
            let disk = match (&kind, sync) {
                (Some(kind), Some(sync)) => format!(", {kind}, a sync takes {sync} µs"),
                _ => String::new(),
            };
            screen.line(&format!(
                "handbell {VERSION}, {cores} cores shared with the driver{disk}; medians of {} rounds",
                plan.rounds
            ))?;
        }
        if disk.is_some_and(|disk| disk.is_memory()) {
            tracing::warn!("{} is in memory, so nothing is synced to a disk; name one with --dir", plan.dir.display());
        }
        Ok(report)
    }

    /// Adds a part's rows.
    pub(super) fn part(&mut self, part: BenchPart, rows: Vec<Json>) -> Done {
        let (name, about, columns) = shown(part);
        if !self.is_machine() {
            self.screen.line(&format!("\n{name}: {about}"))?;
            let items: Vec<Item> = rows.iter().map(Item::of).collect();
            self.screen.list(&items, columns, "/case")?;
        }
        self.json["parts"][name] = rows.into();
        Ok(())
    }

    /// Prints what is printed at the end.
    pub(super) fn end(self) -> Done {
        if self.is_machine() { self.screen.value(&self.json) } else { Ok(()) }
    }

    fn is_machine(&self) -> bool {
        matches!(self.screen.format, crate::cli::Format::Json | crate::cli::Format::Yaml)
    }
}

/// A part's name, what its figures mean, and its columns.
fn shown(part: BenchPart) -> (&'static str, &'static str, &'static [Column]) {
    match part {
        BenchPart::Throughput => {
            ("throughput", "events a second, published durably, delivered and acknowledged", &THROUGHPUT)
        }
        BenchPart::Latency => {
            ("latency", "microseconds from the time an event was due until its consumer has it", &LATENCY)
        }
        BenchPart::Request => ("request", "microseconds from sending a request until its reply is there", &REQUEST),
        BenchPart::Fanout => ("fanout", "one publisher, each event to every subscriber", &FANOUT),
        BenchPart::Groups => ("groups", "one publisher, each event to every group, acknowledged", &GROUPS),
        BenchPart::Start => ("start", "from making the process until it is ready", &START),
        BenchPart::Idle => ("idle", "the sidecar's memory with connections that do nothing", &IDLE),
    }
}

const CASE: Column = Column::new("CASE", |row| row["case"].as_str().unwrap_or_default().to_owned());
const SIZE: Column = Column::new("SIZE", |row| row["size"].to_string());
const CPU: Column = Column::new("CPU µs", |row| number(&row["cpu_us"]["median"], 1));
const RSS: Column = Column::new("RSS MiB", |row| number(&row["rss_mib"]["median"], 1));

const P50: Column = Column::new("P50", |row| number(&row["us"]["p50"]["median"], 0));
const P99: Column = Column::new("P99", |row| number(&row["us"]["p99"]["median"], 0));
const P999: Column = Column::wide("P99.9", |row| number(&row["us"]["p999"], 0));
const MAX: Column = Column::wide("MAX", |row| number(&row["us"]["max"], 0));

const OWN: Column = Column::wide("OWN MiB", |row| number(&row["own_mib"]["median"], 1));

const THROUGHPUT: [Column; 7] = [
    CASE,
    SIZE,
    Column::new("EVENTS/S", |row| number(&row["per_second"]["median"], 0)),
    Column::new("OF DIRECT", |row| number(&row["of_direct"], 2)),
    CPU,
    RSS,
    OWN,
];

const LATENCY: [Column; 12] = [
    CASE,
    SIZE,
    Column::new("RATE/S", |row| row["rate"].to_string()),
    P50,
    P99,
    P999,
    MAX,
    Column::new("+P50", |row| number(&row["added_p50"], 0)),
    Column::new("+P99", |row| number(&row["added_p99"], 0)),
    CPU,
    RSS,
    OWN,
];

const REQUEST: [Column; 10] = [
    CASE,
    SIZE,
    Column::new("REQUESTS/S", |row| number(&row["per_second"]["median"], 0)),
    P50,
    P99,
    P999,
    MAX,
    CPU,
    RSS,
    OWN,
];

const DELIVERIES: Column = Column::new("DELIVERIES/S", |row| number(&row["deliveries_per_second"]["median"], 0));

const FANOUT: [Column; 6] = [CASE, SIZE, DELIVERIES, CPU, RSS, OWN];

const GROUPS: [Column; 7] =
    [CASE, SIZE, Column::new("MS TO MAKE ONE", |row| number(&row["make_ms"], 1)), DELIVERIES, CPU, RSS, OWN];

const START: [Column; 4] = [CASE, Column::new("READY MS", |row| number(&row["ready_ms"]["median"], 0)), RSS, OWN];

const IDLE: [Column; 5] = [
    CASE,
    Column::new("CONNECTIONS", |row| row["connections"].to_string()),
    Column::new("BEFORE MIB", |row| number(&row["before_mib"], 1)),
    Column::new("WITH MIB", |row| number(&row["with_mib"], 1)),
    Column::new("EACH KIB", |row| number(&row["each_kib"], 1)),
];

fn number(value: &Json, digits: usize) -> String {
    value.as_f64().map_or_else(|| "-".into(), |number| format!("{number:.digits$}"))
}

/// What is going on, on standard error.
pub(super) struct Progress {
    quiet: bool,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(screen: Screen) -> Self {
        Self { quiet: screen.quiet, terminal: std::io::stderr().is_terminal() }
    }

    /// Begins a part or a case.
    pub(super) fn say(&self, what: &str) {
        if !self.quiet {
            eprintln!("bench: {what}");
        }
    }

    /// A round; only where it can be overwritten.
    pub(super) fn round(&self, round: usize, of: usize) {
        if !self.quiet && self.terminal {
            eprint!("\r  round {} of {of} \r", round + 1);
        }
    }
}
