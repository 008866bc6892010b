//! What this machine gives: its clock, and how many files may be open.

use handbell_protocol::Timestamp;
use rustix::process::{Resource, getrlimit};

use super::report::Check;
use crate::config::Config;

/// Before this program was written: 2025-01-01.
const PAST: i64 = 1_735_689_600_000;
/// What the process opens besides its connections: the log, its readers, ports.
const OTHERS: u64 = 128;

/// IDs and retention are dated by the clock.
pub(super) fn clock() -> Check {
    let now = Timestamp::now();
    if now.as_millis() > PAST {
        return Check::ok("clock", format!("{now} (UTC)"));
    }
    let how = "set it, best by NTP: IDs, retention and deadlines depend on it";
    Check::fail("clock", format!("it says {now}, which is past"), "this machine", how)
}

/// Each connection of an agent is an open file.
pub(super) fn open_files(config: &Config) -> Check {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = u64::try_from(config.sidecar.max_connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if limit >= wanted {
        return Check::ok(
            "open files",
            format!("the limit is {}", if limit == u64::MAX { "none".into() } else { limit.to_string() }),
        );
    }
    let what = format!("{limit} files may be open, {wanted} are needed for sidecar.max_connections");
    let how = format!("ulimit -n {wanted} (LimitNOFILE= of a unit), or lower sidecar.max_connections");
    Check::warn("open files", what, "this shell", how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::State;

    #[test]
    fn more_connections_than_files_are_told() {
        let mut config = Config::default();
        config.sidecar.max_connections = 1;
        assert_eq!(open_files(&config).state, State::Ok);
        config.sidecar.max_connections = usize::MAX;
        let unlimited = getrlimit(Resource::Nofile).current.is_none();
        assert_eq!(open_files(&config).state == State::Warn, !unlimited);
    }
}
