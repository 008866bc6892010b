//! Opening the backend that the configuration names.

mod embedded;
#[cfg(feature = "nats")]
mod nats;

use std::sync::Arc;

use handbell_backend::Backend;

use crate::{
    config::{Loaded, section::BackendKind},
    failure::Failure,
};

/// An open backend, and in words where events are kept.
pub(super) struct Opened {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) store: String,
}

/// What the broker of the configuration is, and which durability is in force
/// there, in words; `None` where there is no broker.
pub(crate) async fn look(loaded: &Loaded) -> Option<Result<(String, String), Failure>> {
    match loaded.config.backend.kind {
        BackendKind::Embedded => None,
        #[cfg(feature = "nats")]
        BackendKind::Nats => Some(nats::look(&loaded.config).await),
        #[cfg(not(feature = "nats"))]
        BackendKind::Nats => Some(open(loaded).await.map(|_| Default::default())),
    }
}

/// Opens the backend.
pub(super) async fn open(loaded: &Loaded) -> Result<Opened, Failure> {
    match loaded.config.backend.kind {
        BackendKind::Embedded => embedded::open(&loaded.config).await,
        #[cfg(feature = "nats")]
        BackendKind::Nats => nats::open(&loaded.config).await,
        #[cfg(not(feature = "nats"))]
        BackendKind::Nats => {
            let what = "this build can't use NATS";
            Err(loaded.problem("backend.kind", what, "build it with the cargo feature nats").into())
        }
    }
}
