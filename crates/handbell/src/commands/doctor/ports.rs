//! The addresses of the configuration: free, this Handbell's, or whose.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::{fs::FileTypeExt, net::UnixStream},
    path::{Path, PathBuf},
};

use super::report::Check;
use crate::config::{Config, Listen};

/// `known` are the addresses at which a Handbell has answered.
pub(super) fn checks(config: &Config, known: &[String]) -> Vec<Check> {
    let keys = [
        ("agents' port", "sidecar.listen (--listen)", &config.sidecar.listen),
        ("admin's port", "admin.listen (--admin)", &config.admin.listen),
    ];
    keys.into_iter().map(|(check, key, listen)| one(check, key, listen, known)).collect()
}

fn one(check: &'static str, key: &str, listen: &Listen, known: &[String]) -> Check {
    let name = listen.to_string();
    // One that listens everywhere is asked at this machine's own address.
    let local = name.replace("0.0.0.0:", "127.0.0.1:");
    if known.iter().any(|url| url.split("://").any(|part| part.split('/').next() == Some(&local)) || *url == name) {
        return Check::ok(check, format!("{name} is that of the running one"));
    }
    match listen {
        Listen::Tcp(address) => tcp(check, key, *address),
        Listen::Unix(path) => unix(check, key, path),
    }
}

fn tcp(check: &'static str, key: &str, address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_) if address.port() == 0 => Check::ok(check, "any free one"),
        Ok(_) => Check::ok(check, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let holder = holder(address.port());
            let what = format!("{address} is taken by {holder}");
            if holder.starts_with("handbell ") {
                return Check::ok(check, what);
            }
            Check::fail(check, what, key, "stop it, or choose another address")
        }
        Err(error) => Check::fail(check, format!("{address}: {error}"), key, "choose another address"),
    }
}

fn unix(check: &'static str, key: &str, path: &Path) -> Check {
    let shown = path.display();
    match path.symlink_metadata() {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Check::fail(check, format!("{shown} is a file, and no socket"), key, "remove it or choose another path")
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            let how = "stop it, or choose another path";
            Check::fail(check, format!("another process listens at unix:{shown}"), key, how)
        }
        Ok(_) => Check::ok(check, format!("unix:{shown} is left over and will be replaced")),
        Err(_) if path.parent().is_some_and(Path::is_dir) => Check::ok(check, format!("unix:{shown} is free")),
        Err(error) => Check::fail(check, format!("unix:{shown}: {error}"), key, "make its directory (mkdir -p)"),
    }
}

/// The process that listens on a port, where the system tells it.
fn holder(port: u16) -> String {
    let process = listening(port).and_then(|inode| owner(&inode));
    process.unwrap_or_else(|| "another process (this system doesn't say which)".into())
}

/// The inode of the socket that listens on the port.
fn listening(port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inode = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let found = columns.get(1)?.ends_with(&wanted) && *columns.get(3)? == LISTEN;
        found.then(|| (*columns.get(9).unwrap_or(&"")).to_owned())
    };
    tables.iter().flat_map(|table| table.lines().skip(1)).find_map(inode)
}

/// The process that has the socket open.
fn owner(inode: &str) -> Option<String> {
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    let holds = |folder: &Path| {
        let open = fs::read_dir(folder.join("fd")).ok()?;
        open.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to == socket)).then_some(())
    };
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    let id = |path: &PathBuf| Some(path.file_name()?.to_str()?.parse::<u32>().ok()?.to_string());
    processes.filter(|path| holds(path).is_some()).find_map(|path| id(&path)).map(|id| process_name(&id))
}

/// `handbell (process 17)`.
pub(super) fn process_name(id: &str) -> String {
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    format!("{} (process {id})", if name.is_empty() { "another program" } else { name.trim() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::State;

    #[test]
    fn a_taken_port_is_told_with_who_has_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = Listen::Tcp(listener.local_addr().unwrap());
        let check = one("port", "key", &listen, &[]);
        assert_eq!(check.state, State::Fail);
        if cfg!(target_os = "linux") {
            assert!(check.what.contains(&format!("(process {})", std::process::id())), "{}", check.what);
        }
        assert_eq!(one("port", "key", &listen, &[format!("http://{listen}")]).state, State::Ok);
        drop(listener);
        assert_eq!(one("port", "key", &listen, &[]).state, State::Ok);
    }

    #[test]
    fn a_socket_needs_its_directory_and_nobody_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let state = |path: &Path| unix("port", "key", path).state;
        assert_eq!(state(&path), State::Ok);
        assert_eq!(state(&folder.path().join("none/a.sock")), State::Fail);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(state(&path), State::Fail);
        drop(listener);
        assert_eq!(state(&path), State::Ok);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(state(&path), State::Fail);
    }
}
