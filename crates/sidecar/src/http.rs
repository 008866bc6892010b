//! The port of the agents: HTTP with one WebSocket path.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Router,
    extract::{Request, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use handbell_protocol::frame::{PATH, SUBPROTOCOL};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use crate::{
    options::Listen,
    shell::{Shared, StartError},
};

/// tungstenite allocates its read buffer for each connection.
const READ_BUFFER: usize = 4 << 10;
const WRITE_BUFFER: usize = 16 << 10;

/// A bound listener.
pub(crate) enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds the address. One that other machines reach needs tokens.
    pub(crate) async fn bind(listen: &Listen, has_tokens: bool) -> Result<Self, StartError> {
        match listen {
            Listen::Tcp(address) if !address.ip().is_loopback() && !has_tokens => {
                Err(StartError::OpenWithoutTokens(address.to_string()))
            }
            Listen::Tcp(address) => {
                let failed = |source| StartError::Listen { address: address.to_string(), source };
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                Ok(Self::Tcp(listener, bound))
            }
            Listen::Unix(path) => {
                let listener = bind_unix(path).map_err(|source| StartError::Socket { path: path.clone(), source })?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Tcp(_, address) => format!("ws://{address}{PATH}"),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Serves until `stop`; sessions that stand go on in their own tasks.
    pub(crate) async fn serve(self, shared: Arc<Shared>, stop: CancellationToken) {
        let local = matches!(self, Self::Unix(..));
        let router = router(shared, local);
        let stopped = stop.cancelled_owned();
        let served = match self {
            Self::Tcp(listener, _) => {
                let listener = axum::serve::ListenerExt::tap_io(listener, |socket| {
                    // Frames are batched already; waiting for more only adds latency.
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%error, "no TCP_NODELAY");
                    }
                });
                tokio::select! { served = axum::serve(listener, router).into_future() => served, () = stopped => Ok(()) }
            }
            Self::Unix(listener, path) => {
                let served = tokio::select! {
                    served = axum::serve(listener, router).into_future() => served,
                    () = stopped => Ok(()),
                };
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::debug!(%error, path = %path.display(), "the socket's file can't be removed");
                }
                served
            }
        };
        if let Err(error) = served {
            tracing::error!(%error, "the agents' listener has failed");
        }
    }
}

/// A socket that nobody listens on any more is replaced; any other file is kept.
fn bind_unix(path: &PathBuf) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    if let Ok(metadata) = std::fs::symlink_metadata(path)
        && metadata.file_type().is_socket()
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn router(shared: Arc<Shared>, local: bool) -> Router {
    let router = Router::new().route("/", get(what_is_this)).route(PATH, get(upgrade));
    let router =
        if local { router } else { router.layer(middleware::from_fn_with_state(shared.clone(), check_origin)) };
    router.with_state(shared)
}

async fn what_is_this() -> String {
    format!(
        "Handbell: agents connect here by WebSocket at {PATH} and send {{\"op\":\"hello\",\"agent\":\"/name\"}} first.\n"
    )
}

async fn check_origin(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let checked = {
        let all = |name| request.headers().get_all(name).iter().map(|value| value.to_str().unwrap_or("\u{fffd}"));
        let hosts = all(header::HOST).try_for_each(|host| shared.origins.check(None, Some(host)));
        hosts.and_then(|()| all(header::ORIGIN).try_for_each(|origin| shared.origins.check(Some(origin), None)))
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    }
}

async fn upgrade(State(shared): State<Arc<Shared>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if !offers_ours(&headers) {
        return (StatusCode::BAD_REQUEST, format!("the subprotocol is {SUBPROTOCOL}; name it, or none\n"))
            .into_response();
    }
    let admitted = match shared.admit() {
        Ok(admitted) => admitted,
        Err(why) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    };
    // A frame somewhat above the limit is still read, so that it can be
    // answered with 1009 instead of a reset.
    let max_read = (shared.max_frame() * 4).max(4 << 20);
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + max_read)
        .max_message_size(max_read)
        .max_frame_size(max_read)
        .on_upgrade(move |socket| async move { shared.serve(socket, admitted) })
}

/// A client that names subprotocols must name ours; one that names none gets it.
fn offers_ours(headers: &HeaderMap) -> bool {
    let mut offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().peekable();
    offers.peek().is_none()
        || offers.any(|offer| offer.to_str().is_ok_and(|offer| offer.split(',').any(|name| name.trim() == SUBPROTOCOL)))
}
