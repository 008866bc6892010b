//! Accepting connections on TCP or a Unix socket, and HTTP on each until it
//! is a WebSocket.

use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{Handshake, Handshakes};
use crate::{options::Listen, shell::StartError};

/// The largest head of a request in bytes; a larger one is answered with 431.
const HEAD: usize = 16 << 10;
/// After an `accept` that failed, such as for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

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

    /// Where it listens: `ws://ADDRESS` and that path, or `unix:/path`.
    pub(crate) fn url(&self, path: &str) -> String {
        match self {
            Self::Tcp(_, address) => format!("ws://{address}{path}"),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Whether only this machine's users reach it.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Unix(..))
    }

    /// Serves `router` until `stop`; sockets that stand go on in their own
    /// tasks, what is only on its way is cut.
    pub(crate) async fn serve(self, router: Router, handshakes: Arc<Handshakes>, stop: CancellationToken) {
        let accepting = async {
            loop {
                match &self {
                    Self::Tcp(listener, _) => match listener.accept().await {
                        Ok((socket, _)) => {
                            // Frames are batched already; waiting for more only adds latency.
                            if let Err(error) = socket.set_nodelay(true) {
                                tracing::debug!(%error, "no TCP_NODELAY");
                            }
                            tokio::spawn(http(socket, router.clone(), handshakes.begin().await, stop.clone()));
                        }
                        Err(error) => not_accepted(&error).await,
                    },
                    Self::Unix(listener, _) => match listener.accept().await {
                        Ok((socket, _)) => {
                            tokio::spawn(http(socket, router.clone(), handshakes.begin().await, stop.clone()));
                        }
                        Err(error) => not_accepted(&error).await,
                    },
                }
            }
        };
        stop.run_until_cancelled(accepting).await;
        if let Self::Unix(_, path) = &self
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(%error, path = %path.display(), "the socket's file can't be removed");
        }
    }
}

/// HTTP/1 on one connection. It ends when the connection is a WebSocket, which
/// goes on in a task of its own, or when the handshake is over.
async fn http<S>(socket: S, router: Router, handshake: Handshake, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = Arc::new(handshake);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(handshake.clone());
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut builder = http1::Builder::new();
    // The handshake bounds the time of all of it.
    builder.header_read_timeout(None).max_buf_size(HEAD);
    let connection = builder.serve_connection(TokioIo::new(socket), service).with_upgrades();
    tokio::select! {
        served = connection => if let Err(error) = served {
            tracing::debug!(%error, "a connection ended before it was a WebSocket");
        },
        why = handshake.over() => tracing::debug!(why, "a connection was cut before it was a WebSocket"),
        () = stop.cancelled() => {}
    }
}

/// Some errors are the connection's own, and the next one is served at once;
/// the others need room that only time makes.
async fn not_accepted(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "no connection can be taken at the moment");
        tokio::time::sleep(BREATH).await;
    }
}

/// A socket that nobody listens on any more is replaced; any other file is kept.
fn bind_unix(path: &PathBuf) -> io::Result<UnixListener> {
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
