//! `POST /drain?sidecar=N`: a sidecar lets its agents finish and goes away.

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use crate::{access::Actor, app::Shared, params::Params, problem::Problem};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainQuery {
    sidecar: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Draining {
    sidecar: usize,
    draining: bool,
}

/// Answers when the drain has begun; `/readyz` shows it. Asked twice, it is
/// one drain, so that an `Idempotency-Key` adds nothing.
pub(crate) async fn post(
    State(app): Shared,
    Extension(actor): Extension<Actor>,
    Params(query): Params<DrainQuery>,
) -> Result<(StatusCode, Json<Draining>), Problem> {
    let sidecars = &app.options.sidecars;
    let number = match (query.sidecar, sidecars.len()) {
        (Some(number), _) => number,
        (None, 1) => 1,
        (None, count) => return Err(Problem::bad_request(format!("say which: sidecar=1 to sidecar={count}"))),
    };
    let sidecar = number.checked_sub(1).and_then(|index| sidecars.get(index));
    let none = || Problem::not_found(format!("there is no sidecar {number}; there are 1 to {}", sidecars.len()));
    let sidecar = sidecar.ok_or_else(none)?;
    tracing::info!(target: "audit", actor = actor.name, action = "drain", sidecar = number, url = sidecar.url(), "drain");
    sidecar.begin_drain();
    Ok((StatusCode::ACCEPTED, Json(Draining { sidecar: number, draining: true })))
}
