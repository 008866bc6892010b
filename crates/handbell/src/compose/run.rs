//! `dev` and `sidecar`: start the parts, say ready, wait, end in order.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use handbell_admin::SidecarHandle;
use handbell_backend::Backend;
use handbell_delivery::{Member, MemberOptions};
use handbell_sidecar::{Sidecar, StartError};
use tokio::task::JoinHandle;

use super::{
    addresses::addresses,
    admin::{self, Handle, Slot, Whose},
    backend::{self, Opened},
    ready::Ready,
    sidecar as options,
};
use crate::{
    config::{Listen, Loaded, section::BackendKind},
    failure::{Done, Failure},
    output::Screen,
    signals::Interrupt,
};

/// What an orderly end may take beyond `sidecar.drain`.
const SLACK: Duration = Duration::from_secs(15);

/// Everything in one process.
pub(crate) async fn dev(loaded: &Loaded, sidecars: u16, screen: Screen, interrupt: Interrupt) -> Done {
    run(loaded, &addresses(loaded, sidecars)?, Whose::All, screen, interrupt).await
}

/// One sidecar, for the agents beside it: many of them share a broker.
pub(crate) async fn sidecar(loaded: &Loaded, screen: Screen, interrupt: Interrupt) -> Done {
    if loaded.config.backend.kind == BackendKind::Embedded {
        let what = "the embedded log belongs to one process, so a sidecar by itself can't use it";
        let how = "use handbell dev, which runs sidecars and the log in one process, or a broker (--backend nats)";
        return Err(loaded.problem("backend.kind", what, how).into());
    }
    run(loaded, std::slice::from_ref(&loaded.config.sidecar.listen), Whose::Sidecar, screen, interrupt).await
}

async fn run(loaded: &Loaded, listens: &[Listen], whose: Whose, screen: Screen, mut interrupt: Interrupt) -> Done {
    let sidecars = listens.iter().map(|listen| options::options(loaded, listen)).collect::<Result<Vec<_>, _>>()?;
    let admin = admin::bind(loaded, whose).await?;
    let url = format!("http://{}", admin.1);
    let opened = tokio::select! {
        opened = backend::open(loaded) => opened?,
        () = interrupt.came() => return Ok(()),
    };
    let Opened { backend, store } = opened;
    tracing::info!("events are kept {store}");

    let mut running = Running::new(backend).await?;
    for options in sidecars {
        if let Err(error) = running.add(options).await {
            running.end(Duration::ZERO).await;
            return Err(error);
        }
    }
    running.serve_admin(loaded, whose, admin);
    Ready { agents: running.urls(), admin: url, store: &store }.tell(screen)?;

    tokio::select! {
        () = interrupt.came() => tracing::info!("a signal came; agents may finish, a second signal ends at once"),
        () = running.all_drained() => tracing::info!("every sidecar is drained"),
    }
    running.end(loaded.config.sidecar.drain + SLACK).await;
    Ok(())
}

/// The parts, in the order in which they were started.
struct Running {
    backend: Arc<dyn Backend>,
    member: Member,
    slots: Vec<Arc<Slot>>,
    admin: Option<JoinHandle<()>>,
}

impl Running {
    /// The admin's own part in `members`: it outlives drained sidecars.
    async fn new(backend: Arc<dyn Backend>) -> Result<Self, Failure> {
        match Member::join(backend.clone(), MemberOptions::default()).await {
            Ok(member) => Ok(Self { backend, member, slots: Vec::new(), admin: None }),
            Err(error) => {
                backend.close().await;
                Err(Failure::failed(error.to_string(), "backend", "see the log"))
            }
        }
    }

    async fn add(&mut self, options: handbell_sidecar::SidecarOptions) -> Done {
        let sidecar = Sidecar::start(options, self.backend.clone()).await.map_err(|error| not_started(&error))?;
        self.slots.push(Arc::new(Slot::new(sidecar)));
        Ok(())
    }

    fn serve_admin(&mut self, loaded: &Loaded, whose: Whose, admin: (tokio::net::TcpListener, std::net::SocketAddr)) {
        let (backend, member) = (self.backend.clone(), self.member.clone());
        self.admin = Some(admin::serve(loaded, whose, admin, backend, member, &self.slots));
    }

    fn urls(&self) -> Vec<String> {
        self.slots.iter().map(|slot| Handle(slot.clone()).url()).collect()
    }

    async fn all_drained(&self) {
        join_all(self.slots.iter().map(|slot| slot.drained())).await;
    }

    /// Sidecars first, the log last.
    async fn end(self, patience: Duration) {
        for slot in &self.slots {
            Handle(slot.clone()).begin_drain();
        }
        if tokio::time::timeout(patience, self.all_drained()).await.is_err() {
            tracing::warn!(?patience, "a sidecar did not end in time");
        }
        if let Some(admin) = &self.admin {
            admin.abort();
        }
        self.member.leave().await;
        self.backend.close().await;
        tracing::info!("ended");
    }
}

/// The sidecar's words are: where: what; how.
fn not_started(error: &StartError) -> Failure {
    let text = error.to_string();
    let (place, rest) = text.split_once(": ").unwrap_or(("sidecar", &text));
    let (what, how) = rest.split_once("; ").unwrap_or((rest, "see the log"));
    Failure::failed(what, place, how)
}
