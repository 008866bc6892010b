//! Where events are kept: what its durability really is, the directory, its
//! file system and its room.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access, statvfs};

use super::{ports::process_name, report::Check};
use crate::{config::Config, output::human, reach::data_folder};

const KEY: &str = "backend.embedded.dir (--data)";
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// `running` is the durability that a running one tells.
pub(super) fn checks(config: &Config, running: Option<&str>) -> Vec<Check> {
    let embedded = &config.backend.embedded;
    let mut checks = vec![durability(running, embedded.ephemeral)];
    if !embedded.ephemeral {
        let dir = embedded.dir.clone().unwrap_or_else(|| data_folder().join("log"));
        checks.extend(directory(&dir));
    }
    checks
}

fn durability(running: Option<&str>, ephemeral: bool) -> Check {
    const MEMORY: &str = "events are kept in memory and end with the process";
    let how = "leave out --ephemeral (backend.embedded.ephemeral) to keep them";
    match running {
        Some(told) if told.contains("in memory") => Check::warn("durability", MEMORY, "the running one", how),
        Some(told) => Check::ok("durability", format!("of the running one: {told}")),
        None if ephemeral => Check::warn("durability", MEMORY, "backend.embedded.ephemeral", how),
        None => {
            let what = "as configured: SQLite with synchronous=FULL, so an event is synced to disk (fsync) \
                before it is acknowledged; on one machine, not replicated";
            Check::ok("durability", what)
        }
    }
}

fn directory(dir: &Path) -> Vec<Check> {
    let Some(there) = dir.ancestors().find(|path| path.exists()) else { return Vec::new() };
    let shown = dir.display();
    if !there.is_dir() {
        let what = format!("{} is a file, so {shown} can't be the directory of the log", there.display());
        return vec![Check::fail("data", what, KEY, "name a directory, or one that can be made")];
    }
    if access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let what = format!("this user can't write in {}", there.display());
        return vec![Check::fail("data", what, KEY, "make it writable, or choose another directory")];
    }
    vec![state(dir, there), file_system(there), room(there)]
}

fn state(dir: &Path, there: &Path) -> Check {
    let shown = dir.display();
    if dir != there {
        return Check::ok("data", format!("{shown} will be made"));
    }
    if let Some(holder) = holder(dir) {
        return Check::ok("data", format!("{shown}, {}, in use by {holder}", size(dir)));
    }
    match dir.metadata().map(|metadata| metadata.mode() & 0o077) {
        Ok(open) if open != 0 && dir.join("handbell.db").exists() => {
            let what = format!("{shown}, {}: others than its owner may look into it", size(dir));
            Check::warn("data", what, KEY, format!("chmod 700 {shown}"))
        }
        _ => Check::ok("data", format!("{shown}, {}", size(dir))),
    }
}

/// The process that owns the directory, if it lives.
fn holder(dir: &Path) -> Option<String> {
    let id = fs::read_to_string(dir.join("handbell.lock")).ok()?;
    let id = id.trim();
    let named = process_name(id);
    (Path::new("/proc").join(id).exists() && !id.is_empty() && named.contains("handbell")).then_some(named)
}

fn size(dir: &Path) -> String {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes: u64 = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    human::bytes(&bytes.into())
}

fn room(there: &Path) -> Check {
    let free = match statvfs(there) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            let how = "see whether its file system is mounted";
            return Check::warn("free space", format!("it can't be told: {error}"), KEY, how);
        }
    };
    let what = format!("{} on the disk of {}", human::bytes(&free.into()), there.display());
    let how = "make room, choose another directory, or limit the log with backend.embedded.max_size and retention";
    match free {
        0..MIB => Check::fail("free space", what, KEY, how),
        MIB..GIB => Check::warn("free space", what, KEY, how),
        _ => Check::ok("free space", what),
    }
}

fn file_system(there: &Path) -> Check {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let absolute = there.canonicalize().unwrap_or_else(|_| there.to_owned());
    match kind_of(&mounts, &absolute) {
        None => Check::ok("file system", "this system doesn't say which"),
        Some(kind) => judged(kind),
    }
}

fn judged(kind: &str) -> Check {
    let network = ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs"];
    match kind {
        _ if network.contains(&kind) || kind.starts_with("fuse.") => {
            let what = format!("{kind}: locks and fsync over a network are often not kept, and the log needs both");
            Check::warn("file system", what, KEY, "choose a directory on a local disk")
        }
        "tmpfs" | "ramfs" => {
            let what = format!("{kind}: what lies there is gone when the machine restarts");
            Check::warn("file system", what, KEY, "choose a directory on a disk")
        }
        "overlay" | "overlayfs" => {
            let what = format!("{kind}: this is inside a container, and what lies there is gone with it");
            Check::warn(
                "file system",
                what,
                KEY,
                "choose a directory on a volume, if the log is to outlive the container",
            )
        }
        other => Check::ok("file system", other),
    }
}

/// The type of the mount that the path lies in: the longest that leads to it.
fn kind_of<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let point = PathBuf::from(line.split(' ').nth(4)?.replace("\\040", " "));
        let kind = line.split(" - ").nth(1)?.split(' ').next()?;
        path.starts_with(&point).then_some((point.as_os_str().len(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::State;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:5 / /home rw - nfs4 server:/home rw
31 22 0:6 / /tmp rw shared:9 - tmpfs tmpfs rw
";

    #[test]
    fn the_mount_that_leads_furthest_counts() {
        for (path, kind) in [("/var/lib", "ext4"), ("/home/me", "nfs4"), ("/homes", "ext4"), ("/tmp", "tmpfs")] {
            assert_eq!(kind_of(MOUNTS, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(kind_of("", Path::new("/")), None);
    }

    #[test]
    fn file_systems_that_forget_are_told() {
        for (kind, state) in
            [("ext4", State::Ok), ("nfs4", State::Warn), ("tmpfs", State::Warn), ("fuse.sshfs", State::Warn)]
        {
            assert_eq!(judged(kind).state, state, "{kind}");
        }
    }

    #[test]
    fn a_directory_is_there_can_be_made_or_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(directory(folder.path())[0].state, State::Ok);
        assert!(directory(&folder.path().join("a/b"))[0].what.contains("will be made"));
        assert_eq!(directory(&file.join("x"))[0].state, State::Fail);
    }

    #[test]
    fn memory_is_told_whoever_says_it() {
        assert_eq!(durability(None, true).state, State::Warn);
        assert_eq!(durability(Some("nothing survives the process: the log is in memory"), false).state, State::Warn);
        assert_eq!(durability(Some("on disk (fsync)"), true).state, State::Ok);
    }
}
