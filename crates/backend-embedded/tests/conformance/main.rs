//! The embedded log passes the suite that every backend passes, in a directory
//! and in memory.

mod provider;

use std::{process::ExitCode, sync::Arc};

use handbell_backend_conformance::Provider;
use provider::Embedded;

fn main() -> ExitCode {
    handbell_backend_conformance::main(vec![
        Embedded::new(true) as Arc<dyn Provider>,
        Embedded::new(false) as Arc<dyn Provider>,
    ])
}
