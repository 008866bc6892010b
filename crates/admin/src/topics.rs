//! `GET /topics`: what is declared and what has events.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use handbell_backend::{Class, TopicInfo};
use handbell_protocol::{Timestamp, Topic};
use serde::Serialize;

use crate::{
    app::{App, Shared},
    page::{Page, Paging},
    params::Params,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct TopicView {
    topic: Topic,
    /// Whether the configuration declares it.
    declared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// How many events are kept.
    events: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<Timestamp>,
}

pub(crate) async fn list(State(app): Shared, Params(paging): Params<Paging>) -> Result<Json<Page<TopicView>>, Problem> {
    let topics = all(&app).await?;
    Ok(Json(paging.of(topics, |topic| topic.topic.to_string())?))
}

async fn all(app: &Arc<App>) -> Result<Vec<TopicView>, Problem> {
    let stored = app.options.backend.topics(Class::Ev).await?;
    let mut views: BTreeMap<Topic, TopicView> =
        stored.into_iter().map(|info| (info.topic.clone(), info.into())).collect();
    for (topic, description) in &app.options.declared {
        let view = views.entry(topic.clone()).or_insert_with(|| TopicView::empty(topic));
        view.declared = true;
        view.description = Some(description.clone()).filter(|text| !text.is_empty());
    }
    Ok(views.into_values().collect())
}

impl TopicView {
    fn empty(topic: &Topic) -> Self {
        let topic = topic.clone();
        Self { topic, declared: false, description: None, events: 0, bytes: 0, oldest: None, newest: None }
    }
}

impl From<TopicInfo> for TopicView {
    fn from(info: TopicInfo) -> Self {
        Self {
            events: info.records,
            bytes: info.bytes,
            oldest: Some(info.oldest),
            newest: Some(info.newest),
            ..Self::empty(&info.topic)
        }
    }
}
