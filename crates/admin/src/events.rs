//! `GET /events`: the log, filtered, page by page.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use handbell_backend::{Position, Record};
use handbell_protocol::{Envelope, Timestamp, TopicPattern};
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    app::{App, Shared},
    page::{Page, limit},
    params::Params,
    problem::Problem,
    scan::{Direction, Found, Wanted, scan},
};

/// The longest that one reading of the log may take.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EventQuery {
    correlation_id: Option<String>,
    r#type: Option<String>,
    source: Option<String>,
    topic: Option<TopicPattern>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    text: Option<String>,
    order: Direction,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A stored event, as `sub -o json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct EventView {
    #[serde(flatten, serialize_with = "envelope")]
    record: Arc<Record>,
    position: Position,
}

fn envelope<S: Serializer>(record: &Arc<Record>, serializer: S) -> Result<S::Ok, S::Error> {
    Envelope::serialize(&record.envelope, serializer)
}

pub(crate) async fn list(
    State(app): Shared,
    Params(query): Params<EventQuery>,
) -> Result<Json<Page<EventView>>, Problem> {
    let cursor = query.cursor.as_deref().map(str::parse::<Position>).transpose();
    let cursor = cursor.map_err(|_| Problem::bad_request("cursor is none that a list has given"))?;
    let mut found = Found::new(limit(query.limit)?, query.order, cursor.as_ref());
    read(&app, &query.into(), &mut found).await?;
    let more = found.more;
    let items: Vec<EventView> = found.into_records().into_iter().map(EventView::from).collect();
    let next_cursor = items.last().filter(|_| more).map(|item| item.position.to_string());
    Ok(Json(Page { items, next_cursor }))
}

async fn read(app: &App, wanted: &Wanted, found: &mut Found) -> Result<(), Problem> {
    let busy =
        || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "other readings of the log go on; try again in a second");
    let _turn = app.scans.try_acquire().map_err(|_| busy())?;
    match tokio::time::timeout(TIMEOUT, scan(&*app.options.backend, wanted, found)).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            let detail =
                format!("reading the log took more than {} s; narrow it with topic and since", TIMEOUT.as_secs());
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail))
        }
    }
}

impl From<EventQuery> for Wanted {
    fn from(query: EventQuery) -> Self {
        Self {
            correlation_id: query.correlation_id,
            event_type: query.r#type,
            source: query.source,
            topic: query.topic,
            since: query.since,
            until: query.until,
            text: query.text,
        }
    }
}

impl From<Arc<Record>> for EventView {
    fn from(record: Arc<Record>) -> Self {
        let position = record.position.clone();
        Self { record, position }
    }
}
