//! What `backend.nats` can't be, and what NATS can't do.

use std::time::Duration;

use handbell_protocol::time::format_duration;

use super::{
    node::{Node, Step},
    problem::Problem,
    section::{Keep, Nats},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// All that is wrong.
pub(super) fn check_nats(nats: &Nats, keeps: &[(Vec<Step>, &Keep)], tree: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |key: &str, what: String, how: &str| problems.push(Problem::at(tree, key, what, how));
    if nats.urls().next().is_none() {
        refuse("backend.nats.url", "no server is named".into(), "write nats://HOST:PORT");
    }
    for url in nats.urls().filter(|url| !is_url(url)) {
        refuse("backend.nats.url", format!("{url:?} is no server"), "write nats://HOST:PORT or tls://HOST:PORT");
    }
    if ![1, 3, 5].contains(&nats.replicas) {
        refuse("backend.nats.replicas", format!("{} is no number of replicas", nats.replicas), "write 1, 3 or 5");
    }
    if !(Duration::from_secs(1)..=HOUR).contains(&nats.duplicate_window) {
        let what = format!("{} is out of bounds", format_duration(nats.duplicate_window));
        refuse("backend.nats.duplicate_window", what, "write 1s to 1h");
    }
    let secrets = [&nats.token_file, &nats.nkey_file, &nats.credentials_file];
    if secrets.iter().filter(|file| file.is_some()).count() > 1 {
        let what = "more than one of token_file, nkey_file and credentials_file is set".into();
        refuse("backend.nats", what, "leave all but one out");
    }
    if nats.certificate_file.is_some() != nats.key_file.is_some() {
        let what = "a certificate and its key belong together".into();
        refuse("backend.nats.certificate_file", what, "set both certificate_file and key_file, or none");
    }
    for (key, _) in keeps.iter().filter(|(_, keep)| keep.size.is_some()) {
        let path = [key.clone(), vec![Step::Key("size".into())]].concat();
        let what = "NATS keeps no bound by size for each topic";
        problems.push(Problem::on(tree, &path, what, "write an age, and bound the account's storage on the server"));
    }
    problems
}

/// A password in a URL would stand in logs: credentials come in files.
fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("nats://").or_else(|| url.strip_prefix("tls://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?', ' ']))
}
