//! `doctor`: what is reachable and in force, what this machine gives, and what
//! to do about what is amiss. It looks and changes nothing.

mod data;
mod machine;
mod ports;
mod report;
mod running;
mod secrets;

use crate::{
    cli::DoctorArgs,
    commands::version::VERSION,
    compose,
    config::{Loaded, Sources, load},
    failure::{Done, Failure},
    output::{Screen, waiting},
    reach,
};
use report::Check;

pub(crate) async fn run(args: &DoctorArgs, sources: &Sources, screen: Screen) -> Done {
    let mut checks = vec![Check::ok("client", format!("version {VERSION}"))];
    checks.extend(contexts());
    match load(sources) {
        Ok(loaded) => {
            checks.push(Check::ok("configuration", format!("good ({})", read_from(sources))));
            let running = waiting(screen, "asking the running one", running::look(args, &loaded.config)).await;
            let broker = waiting(screen, "asking the broker", compose::look_at_broker(&loaded)).await;
            checks.extend(with_configuration(&loaded, running, broker));
        }
        Err(problems) => {
            checks.extend(problems.into_iter().map(|problem| Check::of("configuration", problem.into())));
            checks.push(Check::warn(
                "not looked at",
                "what runs, the data, ports, tokens and open files",
                "doctor",
                "mend the configuration and run it again",
            ));
        }
    }
    checks.push(machine::clock());
    report::tell(&checks, screen)
}

/// A broker as it was seen, with its durability; `None` where there is none.
type Broker = Option<Result<(String, String), Failure>>;

fn with_configuration(loaded: &Loaded, running: running::Running, broker: Broker) -> Vec<Check> {
    let config = &loaded.config;
    let mut checks = running.checks;
    checks.extend(ports::checks(config, &running.addresses));
    match broker {
        None => checks.extend(data::checks(config, running.durability.as_deref())),
        Some(Ok((what, durability))) => {
            checks.push(Check::ok("broker", what));
            checks.push(Check::ok("durability", durability));
        }
        Some(Err(failure)) => {
            checks.extend(failure.reasons.into_iter().map(|reason| Check::of("broker", reason)));
        }
    }
    checks.push(machine::open_files(config));
    checks.extend(secrets::checks(config));
    checks
}

fn read_from(sources: &Sources) -> String {
    let file = sources.file.as_ref().map_or_else(|| "no file".into(), |file| file.display().to_string());
    format!("{file}, environment, flags")
}

fn contexts() -> Option<Check> {
    match reach::known_contexts() {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(Check::ok("contexts", names.join(", "))),
        Err(failure) => failure.reasons.into_iter().next().map(|reason| Check::of("contexts", reason)),
    }
}
