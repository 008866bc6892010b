//! The admin service of this process, and the sidecars as it sees them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use handbell_admin::{Access, Options, SidecarHandle, router, sidecar_router};
use handbell_backend::Backend;
use handbell_delivery::Member;
use handbell_sidecar::Sidecar;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    commands::version::VERSION,
    config::{Listen, Loaded},
    failure::Failure,
};

/// A sidecar of this process, and whether its drain is over.
pub(super) struct Slot {
    sidecar: Sidecar,
    begun: AtomicBool,
    drained: watch::Sender<bool>,
}

impl Slot {
    pub(super) fn new(sidecar: Sidecar) -> Self {
        Self { sidecar, begun: AtomicBool::new(false), drained: watch::Sender::new(false) }
    }

    /// Waits until a drain has begun and is over.
    pub(super) async fn drained(&self) {
        let mut drained = self.drained.subscribe();
        drained.wait_for(|drained| *drained).await.expect("the sender lives as long as the slot");
    }
}

/// The sidecar's handle for the admin API. Begun twice, it is one drain.
pub(super) struct Handle(pub(super) Arc<Slot>);

impl SidecarHandle for Handle {
    fn url(&self) -> String {
        self.0.sidecar.url().to_owned()
    }

    fn is_ready(&self) -> bool {
        self.0.sidecar.is_ready()
    }

    fn is_draining(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }

    fn begin_drain(&self) {
        if self.0.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        let slot = self.0.clone();
        tokio::spawn(async move {
            slot.sidecar.drain().await;
            slot.drained.send_replace(true);
        });
    }
}

/// Whose admin address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The installation's: page, API and all.
    All,
    /// A sidecar's own.
    Sidecar,
}

/// Binds `admin.listen`, or `sidecar.admin.listen`.
pub(super) async fn bind(loaded: &Loaded, whose: Whose) -> Result<(TcpListener, SocketAddr), Failure> {
    let (key, listen) = match whose {
        Whose::All => ("admin.listen", &loaded.config.admin.listen),
        Whose::Sidecar => ("sidecar.admin.listen", &loaded.config.sidecar.admin.listen),
    };
    let Listen::Tcp(address) = *listen else {
        return Err(loaded.problem(key, "the admin address is a Unix socket", "write IP:PORT").into());
    };
    let failed = |error: std::io::Error| {
        let what = format!("can't listen on {address}: {error}");
        Failure::failed(
            what,
            format!("{key} (--admin)"),
            "stop what uses it (handbell doctor says what it is), or choose another address",
        )
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The service as a task; it ends when it is aborted.
pub(super) fn serve(
    loaded: &Loaded,
    whose: Whose,
    (listener, bound): (TcpListener, SocketAddr),
    backend: Arc<dyn Backend>,
    member: Member,
    slots: &[Arc<Slot>],
) -> JoinHandle<()> {
    let keys = &loaded.config.admin;
    let topics = loaded.config.topics.iter();
    let handles = slots.iter().map(|slot| Arc::new(Handle(slot.clone())) as Arc<dyn SidecarHandle>);
    let options = Options {
        backend,
        member,
        sidecars: handles.collect(),
        declared: topics.map(|(topic, keys)| (topic.clone(), keys.description.clone())).collect(),
        access: Access { listen: bound, origins: keys.origins.clone(), tokens_file: keys.tokens_file.clone() },
        version: VERSION,
    };
    let router = match whose {
        Whose::All => router(options),
        Whose::Sidecar => sidecar_router(options),
    };
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin listener has failed");
        }
    })
}
