//! A test program that holds backends to the suite: which cases, and what is
//! said of them.

use std::{process::ExitCode, sync::Arc, time::Instant};

use tokio::runtime::Builder;

use crate::{
    Case, Provider, cases,
    run::{run_all, say},
};

/// A test program (`harness = false`) that holds backends to the suite. Takes
/// the arguments of Rust's own test programs: parts of names, `--exact`,
/// `--skip`, `--list`. A whole run compares the results with the committed
/// ones, or writes them when `HANDBELL_UPDATE_RESULTS` is set.
#[must_use]
pub fn main(providers: Vec<Arc<dyn Provider>>) -> ExitCode {
    let wanted = match Wanted::parse(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            say(&why);
            return ExitCode::FAILURE;
        }
    };
    if wanted.list {
        wanted.list(&providers);
        return ExitCode::SUCCESS;
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("failed to start a runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let passed = runtime.block_on(async {
        let mut passed = true;
        for provider in providers {
            passed &= wanted.run(provider).await;
        }
        passed
    });
    // What a case left behind may wait for ever.
    runtime.shutdown_background();
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which cases a test program was asked for.
#[derive(Debug, Default)]
struct Wanted {
    parts: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
}

impl Wanted {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wanted = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => wanted.exact = true,
                "--list" => wanted.list = true,
                "--skip" => wanted.skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => drop(arguments.next()),
                flag if flag.starts_with('-') => {}
                part => wanted.parts.push(part.to_owned()),
            }
        }
        let known = |part: &String| cases().iter().any(|case| part.contains(case.name));
        match wanted.exact.then(|| wanted.parts.iter().find(|part| !known(part))).flatten() {
            Some(part) => Err(format!("there is no case {part}")),
            None => Ok(wanted),
        }
    }

    fn takes(&self, provider: &dyn Provider, case: &Case) -> bool {
        let name = format!("{}::{}", provider.name(), case.name);
        let is = |part: &String| if self.exact { name == *part } else { name.contains(part.as_str()) };
        (self.parts.is_empty() || self.parts.iter().any(is)) && !self.skipped.iter().any(is)
    }

    fn is_everything(&self) -> bool {
        self.parts.is_empty() && self.skipped.is_empty()
    }

    fn list(&self, providers: &[Arc<dyn Provider>]) {
        for provider in providers {
            for case in cases().iter().filter(|case| self.takes(&**provider, case)) {
                say(&format!("{}::{}: test", provider.name(), case.name));
            }
        }
    }

    async fn run(&self, provider: Arc<dyn Provider>) -> bool {
        let begun = Instant::now();
        let name = provider.name();
        let report = run_all(Arc::clone(&provider), |case| self.takes(&*provider, case)).await;
        for (case, why) in &report.failures {
            say(&format!("FAILED {name}: {case}: {why}"));
        }
        let (passed, skipped, failed) = (report.results.passed(), report.results.skipped(), report.failures.len());
        let took = begun.elapsed().as_secs_f64();
        say(&format!("{name}: {passed} passed, {skipped} skipped, {failed} failed in {took:.1} s\n"));
        if !self.is_everything() || !report.passed() {
            return report.passed();
        }
        match report.results.settle(name) {
            Ok(()) => true,
            Err(failure) => {
                say(&failure.to_string());
                false
            }
        }
    }
}
