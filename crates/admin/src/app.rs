//! The routes, and what they share.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router, middleware,
    response::IntoResponse,
    routing::{get, post},
};
use handbell_backend::Backend;
use handbell_delivery::Member;
use handbell_protocol::Topic;
use tokio::sync::Semaphore;

use crate::{
    access::{Access, Role, require},
    agents, drain, events, front, groups, guard, health, metrics, overview,
    problem::Problem,
    topics,
};

/// A sidecar of this process, as operators see it.
pub trait SidecarHandle: Send + Sync + 'static {
    /// The address for agents.
    fn url(&self) -> String;
    /// Whether it takes new sessions.
    fn is_ready(&self) -> bool;
    /// Whether its drain has begun.
    fn is_draining(&self) -> bool;
    /// Begins the drain and returns at once; begun twice, it is one drain.
    fn begin_drain(&self);
}

/// What the API is about.
pub struct Options {
    /// The log.
    pub backend: Arc<dyn Backend>,
    /// Who is there, and the groups.
    pub member: Member,
    /// The sidecars of this process, from number 1.
    pub sidecars: Vec<Arc<dyn SidecarHandle>>,
    /// Declared topics and what they are for.
    pub declared: BTreeMap<Topic, String>,
    /// Who may ask.
    pub access: Access,
    /// The build's version.
    pub version: &'static str,
}

/// What the handlers share.
pub(crate) struct App {
    pub(crate) options: Options,
    /// How many readings of the log go on at once.
    pub(crate) scans: Semaphore,
}

pub(crate) type Shared = axum::extract::State<Arc<App>>;

const SCANS: usize = 4;
const OPENAPI: &str = include_str!("openapi.json");

/// The whole service, ready to be served on the admin address.
pub fn router(options: Options) -> Router {
    let app = Arc::new(App { options, scans: Semaphore::new(SCANS) });
    let api = Router::new()
        .route("/overview", get(overview::get))
        .route("/topics", get(topics::list))
        .route("/agents", get(agents::list))
        .route("/groups", get(groups::list))
        .route("/events", get(events::list))
        .route_layer(middleware::from_fn_with_state((app.clone(), Role::Viewer), require));
    let page = Router::new()
        .route("/", get(front::get))
        .route("/api/v1/openapi.json", get(|| async { ([("content-type", "application/json")], OPENAPI) }))
        .nest("/api/v1", api)
        .fallback(|| async { Problem::not_found("there is nothing here; /api/v1/openapi.json lists what there is") });
    guarded(page.merge(own(&app)), app)
}

/// What a sidecar by itself serves: probes, metrics and its drain.
pub fn sidecar_router(options: Options) -> Router {
    let app = Arc::new(App { options, scans: Semaphore::new(SCANS) });
    let nothing = "there is nothing here but /livez, /readyz, /metrics and /drain";
    guarded(own(&app).fallback(move || async move { Problem::not_found(nothing) }), app)
}

/// What concerns this process alone.
fn own(app: &Arc<App>) -> Router<Arc<App>> {
    let acts = Router::new()
        .route("/drain", post(drain::post))
        .route_layer(middleware::from_fn_with_state((Arc::clone(app), Role::Operator), require));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::get))
        .merge(acts)
}

fn guarded(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .method_not_allowed_fallback(|| async { Problem::method().into_response() })
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let described: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let described: Vec<_> = described["paths"].as_object().unwrap().keys().collect();
        let routes = [
            "/api/v1/agents",
            "/api/v1/events",
            "/api/v1/groups",
            "/api/v1/openapi.json",
            "/api/v1/overview",
            "/api/v1/topics",
            "/drain",
            "/livez",
            "/metrics",
            "/readyz",
        ];
        assert_eq!(described, routes);
    }
}
