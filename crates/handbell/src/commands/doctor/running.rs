//! What runs: whether it answers, which version, how it stores, which
//! sidecars, and whether its clock agrees.

use handbell_protocol::Timestamp;
use serde_json::Value as Json;

use super::report::Check;
use crate::{
    api::Api,
    cli::{DoctorArgs, Reach},
    client,
    commands::version::VERSION,
    config::{Config, Listen},
    failure::{Exit, Failure},
    reach::{Place, Side, from_environment, place},
};

/// So far two clocks may differ, in seconds, before it is told.
const SKEW: i64 = 2;

/// What was found.
#[derive(Default)]
pub(super) struct Running {
    pub(super) checks: Vec<Check>,
    /// How it stores, in its own words.
    pub(super) durability: Option<String>,
    /// Where a Handbell has answered.
    pub(super) addresses: Vec<String>,
}

pub(super) async fn look(args: &DoctorArgs, config: &Config) -> Running {
    let mut running = Running::default();
    let typed = args.reach.url.clone().filter(|url| !url.is_empty());
    let url = typed.or_else(|| from_environment(Side::Admin)).or_else(|| from_environment(Side::Agents));
    let named = url.is_some() || args.reach.context.is_some();
    match url {
        Some(url) if Side::of(&url) != Some(Side::Admin) => running.agents(&args.reach, config).await,
        None if !named && is_open(&config.admin.listen) => {
            let how = "name the running one's admin address with --url, as its line \"ready\" prints it";
            running.checks.push(Check::warn("server", "the configuration leaves its port open", "admin.listen", how));
        }
        _ => running.admin(&args.reach, config, named).await,
    }
    running
}

/// Whether any port may be taken, so that nobody can tell which it was.
fn is_open(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp(address) if address.port() == 0)
}

impl Running {
    /// Everything that the admin address tells.
    async fn admin(&mut self, reach: &Reach, config: &Config, named: bool) {
        let asked = async {
            let api = Api::new(place(reach, config, Side::Admin)?)?;
            let (overview, date) = api.get_dated::<Json>("/overview", &[]).await?;
            Ok::<_, Failure>((api, overview, date))
        };
        match asked.await {
            Ok((api, overview, date)) => {
                self.addresses.push(api.url().to_owned());
                self.checks.push(version(&api, &overview));
                self.checks.extend(date.and_then(|date| clock(&date, api.url())));
                self.durability = overview["backend"]["durability"].as_str().map(ToOwned::to_owned);
                for sidecar in overview["sidecars"].as_array().into_iter().flatten() {
                    self.sidecar(sidecar, api.url()).await;
                }
            }
            Err(failure) if failure.exit == Exit::Unreachable && !named => {
                let how = "start one with handbell dev, or name its admin address with --url";
                self.checks.push(Check::warn("server", "none answers", "admin.listen", how));
                self.agents(reach, config).await;
            }
            Err(failure) => self.checks.extend(failure.reasons.into_iter().map(|reason| Check::of("server", reason))),
        }
    }

    async fn sidecar(&mut self, sidecar: &Json, admin: &str) {
        let url = sidecar["url"].as_str().unwrap_or_default().to_owned();
        let number = &sidecar["sidecar"];
        let draining = sidecar["draining"] == true;
        let place = Place { url: url.clone(), named_by: admin.to_owned(), token: None };
        self.addresses.push(url.clone());
        self.checks.push(match client::reach(&place).await {
            _ if draining => {
                Check::warn("sidecar", format!("{number} at {url} is draining"), admin, "connect agents to another")
            }
            Ok(()) => Check::ok("sidecar", format!("{number} takes agents at {url}")),
            Err(failure) => unreachable_sidecar(failure),
        });
    }

    /// The agents' address by itself: is somebody there?
    async fn agents(&mut self, reach: &Reach, config: &Config) {
        let named = reach.url.is_some() || from_environment(Side::Agents).is_some();
        match place(reach, config, Side::Agents) {
            Ok(place) => match client::reach(&place).await {
                Ok(()) => {
                    self.checks.push(Check::ok("sidecar", format!("takes agents at {}", place.url)));
                    self.addresses.push(place.url);
                }
                Err(failure) if named => self.checks.push(unreachable_sidecar(failure)),
                Err(_) => {}
            },
            Err(failure) if named => {
                self.checks.extend(failure.reasons.into_iter().map(|reason| Check::of("sidecar", reason)));
            }
            Err(_) => {}
        }
    }
}

fn unreachable_sidecar(failure: Failure) -> Check {
    let reason = failure.reasons.into_iter().next();
    reason.map_or_else(|| Check::ok("sidecar", "interrupted"), |reason| Check::of("sidecar", reason))
}

fn version(api: &Api, overview: &Json) -> Check {
    let Some(server) = overview["version"].as_str() else {
        let how = "name the admin address of a Handbell with --url";
        return Check::fail("server", format!("what answers at {} is no Handbell", api.url()), api.url(), how);
    };
    if server == VERSION {
        return Check::ok("server", format!("version {server} at {}", api.url()));
    }
    let what = format!("version {server} at {}, this program is {VERSION}", api.url());
    Check::warn("server", what, api.url(), "use the same version on both sides")
}

/// The other side's clock by its own answer.
fn clock(date: &str, place: &str) -> Option<Check> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second();
    let ours = Timestamp::now().as_millis() / 1_000;
    let apart = (theirs - ours).abs();
    if apart <= SKEW {
        return Some(Check::ok("clocks", "this machine's and the server's agree"));
    }
    let how = "set both by NTP: times in events and --since depend on them";
    Some(Check::warn("clocks", format!("the server's is {apart} s away from this machine's"), place, how))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::State;

    #[test]
    fn clocks_that_differ_are_told() {
        assert_eq!(clock("Thu, 01 Jan 1970 00:00:00 GMT", "x").unwrap().state, State::Warn);
        assert!(clock("noon", "x").is_none());
    }
}
