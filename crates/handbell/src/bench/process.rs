//! What a process uses, as Linux tells it.

use std::{fs, time::Duration};

use serde_json::Value as Json;

use super::figures::Rounds;

/// What a process has used and uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Resident memory now.
    pub(super) rss: u64,
    /// Processor time so far, to a hundredth of a second.
    pub(super) cpu: Duration,
}

/// What one process used for a number of events, by round.
#[derive(Default)]
pub(super) struct Spent {
    cpu: Rounds,
    rss: Rounds,
}

impl Spent {
    /// Adds a round that had `events`.
    pub(super) fn add(&mut self, before: Option<Usage>, after: Option<Usage>, events: u64) {
        if let (Some(before), Some(after)) = (before, after) {
            self.cpu.add(after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / events as f64);
            self.rss.add(mib(after.rss));
        }
    }

    /// Writes its figures into a row: `cpu_us` for each event, `rss_mib`.
    pub(super) fn tell(&self, row: &mut Json) {
        if !self.cpu.is_empty() {
            row["cpu_us"] = self.cpu.json();
            row["rss_mib"] = self.rss.json();
        }
    }
}

/// Bytes in MiB.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The ticks of `/proc/PID/stat`; the same on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// What the process `pid` uses; `None` where `/proc` doesn't say.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Usage { rss: kib(&status, "VmRSS:")?, cpu: cpu(&stat)? })
}

fn kib(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// User and system time: fields 14 and 15, counted behind the name's bracket.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 4 0 99 1 2";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(kib("Name:\tx\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(12_288));
    }
}
