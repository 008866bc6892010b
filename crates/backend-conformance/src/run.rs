//! Running cases: several at a time, each with its fate and its time.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use handbell_protocol::{Namespace, Timestamp};
use tokio::{runtime::Builder, task::JoinSet};

use crate::{Bench, Case, Failure, Fate, Provider, Results, cases, fixture::bounded};

/// How many cases run at a time: most of them wait most of the time.
const AT_A_TIME: usize = 8;

/// How long a case may take in all: ends what hangs.
const LIMIT: Duration = Duration::from_secs(240);

/// How long its tasks may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// Threads of a case's runtime.
const WORKERS: usize = 2;

static NEXT_NAMESPACE: AtomicU64 = AtomicU64::new(0);

/// What became of the cases of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Each case that passed or was skipped, with its fate.
    pub results: Results,
    /// Each case that failed, with why.
    pub failures: Vec<(&'static str, String)>,
}

impl Report {
    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Runs one case; a panic is a failure too. Each has a runtime of its own, so
/// that whatever it leaves behind ends with it.
///
/// # Errors
/// Why the case fails.
pub async fn run_case(provider: Arc<dyn Provider>, case: &Case) -> Result<(), Failure> {
    let run = case.run;
    let namespace = fresh_namespace()?;
    let task = tokio::task::spawn_blocking(move || {
        let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
        let outcome = runtime.block_on(async {
            let bench = Bench::new(Arc::clone(&provider), namespace.clone());
            let outcome = tokio::spawn(bounded(LIMIT, run(bench))).await;
            provider.end(&namespace).await;
            outcome
        });
        runtime.shutdown_timeout(FAREWELL);
        match outcome {
            Err(error) => Err(Failure::new(format!("panicked: {error}"))),
            Ok(None) => Err(Failure::new(format!("did not end within {LIMIT:?}"))),
            Ok(Some(outcome)) => outcome,
        }
    });
    task.await?
}

/// Runs the cases that `wanted` chooses, several at a time, and tells of each
/// as it ends.
pub async fn run_all(provider: Arc<dyn Provider>, wanted: impl Fn(&Case) -> bool) -> Report {
    let mut report = Report::default();
    // The last chapters take longest: they begin first.
    let mut waiting = cases().into_iter().rev().filter(|case| wanted(case)).collect::<Vec<_>>().into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_A_TIME
            && let Some(case) = waiting.next()
        {
            match provider.skip(&case) {
                Some(reason) => report.skip(&*provider, &case, reason),
                None => drop(running.spawn(timed(Arc::clone(&provider), case))),
            }
        }
        match running.join_next().await {
            None => return report,
            Some(Ok((case, took, outcome))) => report.add(&*provider, &case, took, outcome),
            Some(Err(error)) => report.failures.push(("the runner", error.to_string())),
        }
    }
}

async fn timed(provider: Arc<dyn Provider>, case: Case) -> (Case, Duration, Result<(), Failure>) {
    let begun = Instant::now();
    let outcome = run_case(provider, &case).await;
    (case, begun.elapsed(), outcome)
}

/// One that no run on the same broker has used.
fn fresh_namespace() -> Result<Namespace, Failure> {
    let n = NEXT_NAMESPACE.fetch_add(1, Ordering::Relaxed);
    Ok(Namespace::parse(&format!("c{:x}-{}-{n}", Timestamp::now().as_millis(), std::process::id()))?)
}

impl Report {
    fn skip(&mut self, provider: &dyn Provider, case: &Case, reason: String) {
        say(&format!("skip          {}: {}: {reason}", provider.name(), case.name));
        self.results.insert(case.name, Fate::Skipped(reason));
    }

    fn add(&mut self, provider: &dyn Provider, case: &Case, took: Duration, outcome: Result<(), Failure>) {
        let line = format!("{:7.2} s  {}: {}", took.as_secs_f64(), provider.name(), case.name);
        match outcome {
            Ok(()) => {
                say(&format!("ok  {line}"));
                self.results.insert(case.name, Fate::Passed);
            }
            Err(failure) => {
                say(&format!("FAILED {line}\n       {}\n       {failure}", case.obligation));
                self.failures.push((case.name, failure.to_string()));
            }
        }
    }
}

/// One line at a time. Where nobody listens any more there is nothing to do.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap_or_default();
}
