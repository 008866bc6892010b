//! `/readyz`: whether agents can be served.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use handbell_backend::Class;
use handbell_protocol::Lane;
use serde::Serialize;

use crate::app::{App, Shared};

/// How long the backend may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
pub(crate) struct Health {
    ready: bool,
    /// `ok`, or why it doesn't answer.
    backend: String,
    sidecars: Vec<SidecarHealth>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SidecarHealth {
    /// Its number, as `/drain?sidecar=` takes it.
    pub(crate) sidecar: usize,
    pub(crate) url: String,
    pub(crate) ready: bool,
    pub(crate) draining: bool,
}

/// Ready while the backend answers and at least one sidecar takes sessions.
pub(crate) async fn ready(State(app): Shared) -> impl IntoResponse {
    let backend = backend(&app).await;
    let sidecars = sidecars(&app);
    let ready = backend == "ok" && sidecars.iter().any(|sidecar| sidecar.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Health { ready, backend, sidecars }))
}

pub(crate) async fn backend(app: &App) -> String {
    match tokio::time::timeout(PATIENCE, app.options.backend.ends(Class::Ev, Lane::Regular)).await {
        Ok(Ok(_)) => "ok".into(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    }
}

pub(crate) fn sidecars(app: &App) -> Vec<SidecarHealth> {
    let health = |(index, sidecar): (usize, &std::sync::Arc<dyn crate::SidecarHandle>)| SidecarHealth {
        sidecar: index + 1,
        url: sidecar.url(),
        ready: sidecar.is_ready() && !sidecar.is_draining(),
        draining: sidecar.is_draining(),
    };
    app.options.sidecars.iter().enumerate().map(health).collect()
}
