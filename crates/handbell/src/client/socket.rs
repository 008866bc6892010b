//! One WebSocket connection over TCP or a Unix socket.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, Utf8Bytes, client::IntoClientRequest, http::HeaderValue, protocol::CloseFrame},
};

use super::address::Address;

/// What carries the frames.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open connection.
pub(crate) struct Socket(WebSocketStream<Box<dyn Stream>>);

/// What came, or how it ended.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(String),
    Closed(Option<CloseFrame>),
}

/// How many frames one turn reads at most.
const FRAMES: usize = 256;
/// How long opening may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer to a close may take to be written.
const FAREWELL: Duration = Duration::from_millis(200);

impl Socket {
    /// Opens a connection.
    pub(super) async fn open(address: &Address) -> Result<Self, Error> {
        let late = || Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s"));
        tokio::time::timeout(PATIENCE, open(address)).await.map_err(|_| late())?
    }

    /// Sends one text frame.
    pub(super) async fn send(&mut self, text: &str) -> Result<(), Error> {
        self.0.send(Message::text(text)).await
    }

    /// Writes what waits in `out` and reads what is there; waits until either
    /// brings something. `None`: the connection is closed. Cancel-safe.
    pub(crate) async fn turn(&mut self, out: &mut VecDeque<String>) -> Option<Vec<Utf8Bytes>> {
        poll_fn(|cx| self.poll_turn(cx, out)).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, out: &mut VecDeque<String>) -> Poll<Option<Vec<Utf8Bytes>>> {
        let Ok(wrote) = self.poll_write(cx, out) else { return Poll::Ready(None) };
        let mut frames = Vec::new();
        while frames.len() < FRAMES {
            match self.0.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Message::Text(text)))) => frames.push(text),
                Poll::Ready(Some(Ok(Message::Close(_)) | Err(_)) | None) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Pending => break,
            }
        }
        if wrote || !frames.is_empty() { Poll::Ready(Some(frames)) } else { Poll::Pending }
    }

    /// Whether anything was written.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut VecDeque<String>) -> Result<bool, Error> {
        let mut wrote = false;
        while !out.is_empty() && self.0.poll_ready_unpin(cx)?.is_ready() {
            let Some(text) = out.pop_front() else { break };
            self.0.start_send_unpin(Message::text(text))?;
            wrote = true;
        }
        // Also what an earlier turn could not flush.
        match self.0.poll_flush_unpin(cx) {
            Poll::Ready(flushed) => flushed.map(|()| wrote),
            Poll::Pending => Ok(wrote),
        }
    }

    /// Waits for the next frame; pings are answered on the way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Incoming {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Incoming::Text(text.to_string()),
                Some(Ok(Message::Close(frame))) => {
                    // The other end waits for the answer to its close.
                    drop(tokio::time::timeout(FAREWELL, self.0.flush()).await);
                    return Incoming::Closed(frame);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Incoming::Closed(None),
            }
        }
    }
}

async fn open(address: &Address) -> Result<Socket, Error> {
    let mut request = address.url().into_client_request()?;
    let subprotocol = HeaderValue::from_static(handbell_protocol::frame::SUBPROTOCOL);
    request.headers_mut().insert("sec-websocket-protocol", subprotocol);
    let stream: Box<dyn Stream> = match address {
        Address::Tcp { authority, .. } => {
            let stream = TcpStream::connect(authority).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
    };
    client_async(request, stream).await.map(|(socket, _)| Socket(socket))
}
