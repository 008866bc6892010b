//! The port of the agents: HTTP with one WebSocket path.
//!
//! `listener` accepts and bounds what hasn't come as far as a session,
//! `handshakes` counts it. Deliberately knows no frame.

mod handshakes;
mod listener;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use handbell_protocol::frame::{PATH, SUBPROTOCOL};

pub(crate) use handshakes::{Handshake, Handshakes};
pub(crate) use listener::Listener;

use crate::shell::Shared;

/// tungstenite allocates its read buffer for each connection.
const READ_BUFFER: usize = 4 << 10;
const WRITE_BUFFER: usize = 16 << 10;

/// What the agents' port serves; on a `local` one, a Unix socket, nobody's
/// origin is asked for.
pub(crate) fn router(shared: Arc<Shared>, local: bool) -> Router {
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
        // Without one nobody can tell what name the client went by.
        let missing = || Err("a Host header is missing; HTTP/1.1 asks for it".to_owned());
        let named = if request.headers().contains_key(header::HOST) { Ok(()) } else { missing() };
        let hosts = named.and_then(|()| all(header::HOST).try_for_each(|host| shared.origins.check(None, Some(host))));
        hosts.and_then(|()| all(header::ORIGIN).try_for_each(|origin| shared.origins.check(Some(origin), None)))
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    }
}

async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(handshake): Extension<Arc<Handshake>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !offers_ours(&headers) {
        return (StatusCode::BAD_REQUEST, format!("the subprotocol is {SUBPROTOCOL}; name it, or none\n"))
            .into_response();
    }
    let admitted = match shared.admit() {
        Ok(admitted) => admitted,
        Err(why) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    };
    socket(upgrade, shared.max_frame())
        .on_upgrade(move |socket| async move { shared.serve(socket, admitted, handshake) })
}

/// How a socket is set up, for agents whose largest frame is `max_frame`.
pub(crate) fn socket(upgrade: WebSocketUpgrade, max_frame: usize) -> WebSocketUpgrade {
    // A frame somewhat above the limit is still read, so that it can be
    // answered with 1009 instead of a reset.
    let max_read = (max_frame * 4).max(4 << 20);
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + max_read)
        .max_message_size(max_read)
        .max_frame_size(max_read)
}

/// A client that names subprotocols must name ours; one that names none gets it.
fn offers_ours(headers: &HeaderMap) -> bool {
    let mut offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().peekable();
    offers.peek().is_none()
        || offers.any(|offer| offer.to_str().is_ok_and(|offer| offer.split(',').any(|name| name.trim() == SUBPROTOCOL)))
}
