//! One socket: reads many frames at a wake-up, writes as much as it takes.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;

use super::{outbox::Outbox, server::Admitted};

/// At most so many frames are read at a wake-up.
const FRAMES: usize = 128;
/// So long a closed socket may take to read its close frame.
pub(super) const SEE_OFF: Duration = Duration::from_secs(5);

/// A frame, or why the socket must be closed.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Utf8Bytes),
    /// No agent sends one.
    #[cfg_attr(not(feature = "echo"), expect(dead_code, reason = "only an echo wants to know what is in it"))]
    Binary(Bytes),
    Pong,
    /// The agent closes.
    Closed,
    /// Something that closes the socket with this code.
    Foul(u16, &'static str),
}

/// What a turn brought.
#[derive(Debug)]
pub(super) enum Turn {
    /// Both ways were looked at; one of them at least moved.
    Moved {
        /// What was read.
        frames: Vec<Incoming>,
        /// Something was written.
        wrote: bool,
    },
    /// The socket is lost.
    Lost,
}

/// A WebSocket.
pub(super) struct Wire {
    socket: WebSocket,
    /// Something was written and not yet flushed.
    dirty: bool,
    /// A close frame was written: nothing more is.
    closing: bool,
    /// Nothing more can be read.
    ended: bool,
    max_frame: usize,
    /// Its place among the connections, until TCP ends.
    _place: Option<Admitted>,
}

impl Wire {
    pub(super) fn new(socket: WebSocket, max_frame: usize, place: Option<Admitted>) -> Self {
        Self { socket, dirty: false, closing: false, ended: false, max_frame, _place: place }
    }

    /// Writes what is left, its close frame last, and waits a little for the
    /// other end to close.
    pub(super) async fn see_off(mut self: Box<Self>, mut outbox: Outbox) {
        let until = Instant::now() + SEE_OFF;
        let done = async { while !matches!(self.turn(&mut outbox, true).await, Turn::Lost) {} };
        if tokio::time::timeout_at(until, done).await.is_err() {
            let closed = self.closing && !self.dirty;
            tracing::debug!(closed, "a socket was cut that didn't close");
        }
    }

    /// Writes what waits in `outbox`, and reads if `read` says so, until
    /// either brings something. Cancel-safe: what it hasn't written waits on
    /// in the outbox.
    pub(super) async fn turn(&mut self, outbox: &mut Outbox, read: bool) -> Turn {
        poll_fn(|cx| self.poll_turn(cx, outbox, read)).await
    }

    /// Reads what is there, without waiting for more.
    pub(super) async fn sip(&mut self) -> Vec<Incoming> {
        poll_fn(|cx| Poll::Ready(self.poll_read(cx))).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox, read: bool) -> Poll<Turn> {
        let Ok(wrote) = self.poll_write(cx, outbox) else { return Poll::Ready(Turn::Lost) };
        let frames = if read { self.poll_read(cx) } else { Vec::new() };
        if !frames.is_empty() {
            return Poll::Ready(Turn::Moved { frames, wrote });
        }
        if read && self.ended {
            return Poll::Ready(Turn::Lost);
        }
        if wrote { Poll::Ready(Turn::Moved { frames, wrote }) } else { Poll::Pending }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &mut Outbox) -> Result<bool, axum::Error> {
        let mut wrote = false;
        while !self.closing && !outbox.is_empty() {
            match Pin::new(&mut self.socket).poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => break,
            }
            let Some(message) = outbox.pop() else { break };
            self.closing = matches!(message, Message::Close(_));
            Pin::new(&mut self.socket).start_send(message)?;
            self.dirty = true;
            wrote = true;
        }
        if self.dirty
            && let Poll::Ready(flushed) = Pin::new(&mut self.socket).poll_flush(cx)
        {
            flushed?;
            self.dirty = false;
            wrote = true;
        }
        Ok(wrote)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Vec<Incoming> {
        let mut frames = Vec::new();
        while frames.len() < FRAMES && !self.ended {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Ok(message))) => frames.extend(self.incoming(message)),
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    frames.extend(foul(error));
                }
            }
        }
        frames
    }

    fn incoming(&mut self, message: Message) -> Option<Incoming> {
        match message {
            Message::Text(text) if text.len() > self.max_frame => Some(TOO_LARGE),
            Message::Text(text) => Some(Incoming::Text(text)),
            Message::Binary(bytes) => Some(Incoming::Binary(bytes)),
            Message::Ping(_) => None,
            Message::Pong(_) => Some(Incoming::Pong),
            Message::Close(_) => Some(Incoming::Closed),
        }
    }
}

/// What a binary frame closes a socket with.
pub(super) const BINARY: (u16, &str) = (1003, "frames are text, one JSON object each");
const TOO_LARGE: Incoming = Incoming::Foul(1009, "the frame is larger than max_frame; welcome tells it");

/// The close code that an error of the socket deserves; none where there is
/// nobody left to tell.
fn foul(error: axum::Error) -> Option<Incoming> {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>()? {
        Error::Capacity(_) => Some(TOO_LARGE),
        Error::Utf8(_) => Some(Incoming::Foul(1007, "text frames are UTF-8")),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(Incoming::Foul(1002, "the WebSocket protocol was broken")),
        _ => None,
    }
}
