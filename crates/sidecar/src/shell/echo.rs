//! The agents' port with an echo behind it in place of sessions: accepted, set
//! up, read, written and closed by the same code, so that a suite for the
//! WebSocket protocol can judge that code. Only in test builds (feature `echo`).

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{WebSocketUpgrade, ws::Message},
    routing::any,
};
use tokio_util::sync::CancellationToken;

use super::{
    outbox::Outbox,
    server::StartError,
    wire::{Incoming, Turn, Wire},
};
use crate::{
    http::{self, Handshake, Handshakes, Listener},
    options::{Limits, Listen},
};

/// Listens, tells its address to `ready`, and echoes until it is dropped.
///
/// # Errors
/// When the address can't be listened on.
pub async fn echo(listen: Listen, limits: Limits, ready: impl FnOnce(&str)) -> Result<(), StartError> {
    let listener = Listener::bind(&listen, false).await?;
    ready(&listener.url("/"));
    let max_frame = limits.max_frame;
    let upgrade = async move |Extension(handshake): Extension<Arc<Handshake>>, upgrade: WebSocketUpgrade| {
        http::socket(upgrade, max_frame).on_upgrade(move |socket| async move {
            drop(handshake);
            converse(Box::new(Wire::new(socket, max_frame, None)), limits.max_outbox).await;
        })
    };
    let router = Router::new().fallback(any(upgrade));
    let handshakes = Handshakes::new(limits.max_handshakes, limits.hello_timeout);
    listener.serve(router, handshakes, CancellationToken::new()).await;
    Ok(())
}

/// The loop of a session's actor, as far as the socket is concerned.
async fn converse(mut wire: Box<Wire>, max_outbox: usize) {
    let mut outbox = Outbox::default();
    loop {
        let read = outbox.bytes() < max_outbox;
        match wire.turn(&mut outbox, read).await {
            Turn::Lost => return,
            Turn::Moved { frames, .. } => {
                for frame in frames {
                    match frame {
                        Incoming::Text(text) => outbox.message(Message::Text(text)),
                        Incoming::Binary(bytes) => outbox.message(Message::Binary(bytes)),
                        Incoming::Pong => {}
                        Incoming::Closed => return,
                        Incoming::Foul(code, reason) => {
                            outbox.close(code, reason);
                            return wire.see_off(outbox).await;
                        }
                    }
                }
            }
        }
    }
}
