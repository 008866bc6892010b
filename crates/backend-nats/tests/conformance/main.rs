//! NATS JetStream passes the suite that every backend passes, on a real server.

mod provider;
mod site;

use std::{process::ExitCode, sync::Arc};

use handbell_backend_conformance::Provider;
use provider::Nats;

fn main() -> ExitCode {
    handbell_backend_conformance::main(vec![Nats::new() as Arc<dyn Provider>])
}
