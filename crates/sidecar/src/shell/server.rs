//! The listener, and everything that the sessions of a sidecar share.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use handbell_backend::{Backend, BackendError};
use handbell_delivery::{Member, MemberOptions};
use handbell_protocol::frame::PATH;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    actor::Command,
    clock::Clock,
    outbox::Outbox,
    registry::{Entry, Registry},
    wire::{SEE_OFF, Wire},
};
use crate::{
    auth::{Origins, ResumeKey},
    http::{self, Handshake, Handshakes},
    options::{Listen, SidecarOptions},
    policy::Policy,
};

/// The signal that a request was cancelled; its body is the request's event ID.
pub(super) const CANCEL: &str = "cancel";
/// The signal that a session goes on elsewhere; its body is the session.
pub(super) const RESUMED: &str = "resumed";
/// How often the tokens file is looked at.
const TOKENS_LOOK: Duration = Duration::from_secs(1);

/// Why a sidecar can't start: what, where and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error(
        "sidecar.listen (--listen): can't listen on {address}: {source}; stop what uses it (handbell doctor says what it is), or choose another address"
    )]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The address can be reached from other machines, and nobody would have to say who they are.
    #[error(
        "sidecar.listen (--listen): {0} is open to other machines, and agents.tokens_file is not set; set it, or listen on 127.0.0.1"
    )]
    OpenWithoutTokens(String),
    /// The Unix socket's file can't be prepared.
    #[error("sidecar.listen (--listen): can't listen on unix:{}: {}", path.display(), socket_fault(path, source))]
    Socket {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The backend failed.
    #[error("failed to start the sidecar: {0}")]
    Backend(#[from] BackendError),
}

/// What is the matter with a socket's path, and how to mend it.
fn socket_fault(path: &Path, source: &std::io::Error) -> String {
    use std::os::unix::fs::FileTypeExt as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return format!("there is no directory {0}; make it (mkdir -p {0}) or choose another path", folder.display());
    }
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            "another process listens there; stop it or choose another path".into()
        }
        Ok(_) => "a file that is no socket is there already; remove it or choose another path".into(),
        Err(_) => format!("{source}; let this user write in its directory, or choose another path"),
    }
}

/// What the sessions of a sidecar share.
pub(crate) struct Shared {
    pub(super) options: SidecarOptions,
    pub(super) policy: Arc<Policy>,
    pub(super) clock: Clock,
    pub(super) member: Member,
    pub(super) registry: Registry,
    pub(super) resume_key: ResumeKey,
    pub(super) max_event: usize,
    pub(crate) origins: Origins,
    tasks: TaskTracker,
    connections: AtomicUsize,
    draining: AtomicBool,
}

impl Shared {
    pub(super) fn remember(&self, session: String, entry: Entry) {
        self.registry.add(session, entry, |agents| self.member.announce(agents));
    }

    pub(super) fn forget(&self, session: &str) {
        self.registry.remove(session, |agents| self.member.announce(agents));
    }

    /// A session has lost its socket. Where too many wait to be resumed, the
    /// one that has waited longest is given up.
    pub(super) fn waits(&self, session: &str) {
        if let Some(oldest) = self.registry.waits(session, self.options.limits.max_waiting) {
            // One whose commands pile up is not idle; it ends with its window.
            let _busy = oldest.commands.try_send(Command::GiveUp);
        }
    }

    /// Writes what is left for a socket, its close frame last, and waits a
    /// little for the other end to close.
    pub(super) fn see_off(&self, wire: Box<Wire>, outbox: Outbox) {
        self.tasks.spawn(wire.see_off(outbox));
    }

    /// Takes a connection, or says why not.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Admitted, &'static str> {
        if self.draining.load(Ordering::Acquire) {
            return Err("this sidecar is draining; connect to another");
        }
        let admitted = Admitted(self.clone());
        if self.connections.fetch_add(1, Ordering::AcqRel) >= self.options.limits.max_connections {
            return Err("there are too many connections (sidecar.max_connections)");
        }
        Ok(admitted)
    }

    pub(crate) fn max_frame(&self) -> usize {
        self.options.limits.max_frame
    }

    /// Serves a socket to its end, as a task that a drain waits for.
    pub(crate) fn serve(
        self: &Arc<Self>,
        socket: axum::extract::ws::WebSocket,
        admitted: Admitted,
        handshake: Arc<Handshake>,
    ) {
        let shared = self.clone();
        let wire = Box::new(Wire::new(socket, self.options.limits.max_frame, Some(admitted)));
        self.tasks.spawn(super::handshake::greet(shared, wire, handshake));
    }

    async fn tell_all(&self, command: impl Fn() -> Command) {
        for entry in self.registry.all() {
            // A session that is gone has nothing to be told.
            let _gone = entry.commands.send(command()).await;
        }
    }
}

/// A connection's place among `max_connections`.
pub(crate) struct Admitted(Arc<Shared>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A running sidecar.
#[derive(Clone)]
pub struct Sidecar {
    shared: Arc<Shared>,
    url: String,
    stop: CancellationToken,
}

impl std::fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sidecar").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Sidecar {
    /// Joins `members`, listens, and serves agents in tasks of its own.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(options: SidecarOptions, backend: Arc<dyn Backend>) -> Result<Self, StartError> {
        let listener = http::Listener::bind(&options.listen, options.tokens.is_some()).await?;
        if options.tokens.is_none() {
            tracing::info!("no tokens are set: a local process is whatever it says in hello");
        }
        let resume_key = ResumeKey::load(&*backend, random()).await?;
        let max_event = options.limits.max_event.min(backend.capabilities().max_event);
        let limits = &options.limits;
        let member_options = MemberOptions {
            read_ahead_events: limits.read_ahead_events,
            read_ahead_bytes: limits.read_ahead_bytes,
            max_processing: limits.max_processing,
            retry: options.policy.retry.clone(),
            ..MemberOptions::default()
        };
        let member = Member::join(backend, member_options).await?;
        let host = match &options.listen {
            Listen::Tcp(address) => Some(match address.ip() {
                std::net::IpAddr::V4(ip) => ip.to_string(),
                std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            }),
            Listen::Unix(_) => None,
        };
        let shared = Arc::new(Shared {
            origins: Origins::new(options.origins.clone(), host),
            policy: Arc::new(options.policy.clone()),
            clock: Clock::new(),
            member,
            registry: Registry::default(),
            resume_key,
            max_event,
            tasks: TaskTracker::new(),
            connections: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            options,
        });
        let stop = CancellationToken::new();
        let url = listener.url(PATH);
        let router = http::router(shared.clone(), listener.is_local());
        let limits = &shared.options.limits;
        let handshakes = Handshakes::new(limits.max_handshakes, limits.hello_timeout);
        tokio::spawn(listener.serve(router, handshakes, stop.clone()));
        tokio::spawn(listen_to_members(shared.clone(), stop.clone()));
        tokio::spawn(watch_tokens(shared.clone(), stop.clone()));
        Ok(Self { shared, url, stop })
    }

    /// Where agents connect: `ws://…/v1/ws`, or `unix:/path`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it takes new agents.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.shared.draining.load(Ordering::Acquire)
    }

    /// Its part in `members`.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.shared.member
    }

    /// How many sessions stand, those within their resume window included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shared.registry.len()
    }

    /// Goes away: not ready, `goaway`, nothing more is delivered, and what was
    /// not written to a socket is given back at once; acks and publishes go
    /// on. When the agents are gone or the grace is over, the rest is given
    /// back, counted, and the sockets are closed with 1001. A second call
    /// waits for nothing and does nothing.
    pub async fn drain(&self) {
        if self.shared.draining.swap(true, Ordering::AcqRel) {
            return;
        }
        let grace = self.shared.options.limits.drain;
        tracing::info!(sessions = self.sessions(), ?grace, "draining");
        self.shared
            .tell_all(|| Command::Drain("the sidecar goes away; connect to another or come back later".into()))
            .await;
        self.shared.member.drain().await;
        let until = Instant::now() + grace;
        while self.shared.registry.len() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.shared.tell_all(|| Command::Finish(1001, "the sidecar has gone away".into())).await;
        self.stop.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(SEE_OFF, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.shared.tasks.len(), "some sockets didn't close in time and were cut");
        }
        self.shared.member.leave().await;
        tracing::info!("drained");
    }
}

/// Random bytes from the system; without them no session could be safe.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// Passes on what other sidecars say.
async fn listen_to_members(shared: Arc<Shared>, stop: CancellationToken) {
    use tokio::sync::broadcast::error::RecvError;
    let mut signals = shared.member.signals();
    loop {
        let signal = tokio::select! {
            () = stop.cancelled() => return,
            signal = signals.recv() => signal,
        };
        match signal {
            Ok(signal) if signal.kind == CANCEL => {
                let request: Arc<str> = signal.body.as_str().into();
                shared.tell_all(|| Command::Cancelled(request.clone())).await;
            }
            Ok(signal) if signal.kind == RESUMED => {
                if let Some(entry) = shared.registry.get(&signal.body) {
                    let _gone = entry.commands.send(Command::Finish(1008, "taken over".into())).await;
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "signals of other sidecars were missed"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Reads the tokens again when they change, and ends the sessions of those
/// that are no longer good.
async fn watch_tokens(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(tokens) = shared.options.tokens.clone() else { return };
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TOKENS_LOOK) => {}
        }
        match tokens.reload() {
            Ok(true) => {
                tracing::info!(file = %tokens.path().display(), "the tokens were read again");
                for entry in shared.registry.all() {
                    if !entry.token.as_deref().is_some_and(|token| tokens.allow(&entry.agent, token)) {
                        let _gone = entry.commands.send(Command::Rotated).await;
                    }
                }
                failing = false;
            }
            Ok(false) => failing = false,
            Err(error) if !failing => {
                tracing::warn!(%error, "the tokens can't be read; those of before stay in force");
                failing = true;
            }
            Err(_) => {}
        }
    }
}
