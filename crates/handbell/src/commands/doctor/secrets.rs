//! Files with tokens: who may read them.

use std::{os::unix::fs::MetadataExt, path::Path};

use super::report::Check;
use crate::config::Config;

/// Both files of tokens. That they can be read is checked with the configuration.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let agents = match &config.agents.tokens_file {
        Some(path) => file("agents' tokens", "agents.tokens_file", path),
        None => {
            let what = "none are asked for: a local process is whatever agent it says";
            Check::ok("agents' tokens", what)
        }
    };
    let admin = match &config.admin.tokens_file {
        Some(path) => file("admin's tokens", "admin.tokens_file", path),
        None => Check::ok("admin's tokens", "none are asked for: every local process is an operator"),
    };
    vec![agents, admin]
}

fn file(check: &'static str, key: &str, path: &Path) -> Check {
    let shown = path.display();
    let mode = match path.metadata() {
        Ok(metadata) => metadata.mode() & 0o777,
        Err(error) => return Check::fail(check, format!("{shown}: {error}"), key, "name a file that can be read"),
    };
    if mode & 0o077 == 0 {
        return Check::ok(check, format!("in {shown}, for its owner alone"));
    }
    let what = format!("{shown} has mode {mode:03o}: others than its owner may use it");
    Check::warn(check, what, key, format!("chmod 600 {shown}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::commands::doctor::report::State;

    #[test]
    fn a_file_that_others_may_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "/a t\n").unwrap();
        for (mode, state) in [(0o600, State::Ok), (0o640, State::Warn), (0o604, State::Warn)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let check = file("t", "k", &path);
            assert_eq!(check.state, state, "{mode:o}: {}", check.what);
        }
        assert_eq!(file("t", "k", &folder.path().join("none")).state, State::Fail);
    }
}
