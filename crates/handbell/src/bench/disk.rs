//! What a sync of the disk costs: without it, figures of a durable log say
//! little.

use std::{
    fs::{File, read_to_string},
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// What the data directory stands on.
pub(super) struct Disk {
    /// The file system's type, such as `ext4`; empty where it isn't known.
    pub(super) kind: String,
    /// The median of writing 4 KiB and syncing.
    pub(super) sync: Option<Duration>,
}

const SYNCS: usize = 41;

impl Disk {
    /// Looks at the directory `dir`, which must be there.
    pub(super) fn of(dir: &Path) -> Self {
        Self { kind: kind(dir).unwrap_or_default(), sync: sync(dir).ok() }
    }

    /// Whether it forgets with the machine's power.
    pub(super) fn is_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs")
    }
}

fn sync(dir: &Path) -> std::io::Result<Duration> {
    let path = dir.join("sync");
    let mut file = File::create(&path)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    std::fs::remove_file(path)?;
    took.sort_unstable();
    Ok(took[SYNCS / 2])
}

/// The type of the mount with the longest path above `dir`.
fn kind(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    mounts.filter(|(at, _)| dir.starts_with(at)).max_by_key(|(at, _)| at.len()).map(|(_, kind)| kind.to_owned())
}
