//! Flags that stand for a key of the configuration.

use super::{Cli, Command, RunFlags};

type Flag = (&'static str, &'static str, String);

impl Cli {
    /// Each flag that was given, with its key and its value.
    pub(crate) fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        flags.extend(self.shared.namespace.clone().map(|name| ("--namespace", "namespace", name)));
        match &self.command {
            Command::Dev(args) => {
                flags.extend(run_flags(&args.run, "admin.listen"));
                let data = args.data.as_ref().map(|data| data.display().to_string());
                flags.extend(data.map(|data| ("--data", "backend.embedded.dir", data)));
                if args.ephemeral {
                    flags.push(("--ephemeral", "backend.embedded.ephemeral", "true".into()));
                }
            }
            Command::Sidecar(args) => flags.extend(run_flags(&args.run, "sidecar.admin.listen")),
            _ => {}
        }
        flags
    }
}

fn run_flags(run: &RunFlags, admin: &'static str) -> Vec<Flag> {
    let backend = run.backend.map(|name| match name {
        super::BackendName::Embedded => "embedded".to_owned(),
        super::BackendName::Nats => "nats".to_owned(),
    });
    let values = [
        ("--backend", "backend.kind", backend),
        ("--listen", "sidecar.listen", run.listen.clone()),
        ("--admin", admin, run.admin.clone()),
    ];
    values.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?))).collect()
}
