//! `GET /groups`: the durable groups, their settings and where they stand.

use std::time::Duration;

use axum::{Json, extract::State};
use handbell_delivery::GroupInfo;
use handbell_protocol::{
    Segment, Timestamp, TopicPattern,
    frame::{From as Begin, Order, RetryPolicy},
    time::duration_text,
};
use serde::Serialize;

use crate::{
    app::Shared,
    page::{Page, Paging},
    params::Params,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct GroupView {
    group: Segment,
    topics: Vec<TopicPattern>,
    filter: String,
    order: Order,
    #[serde(with = "duration_text")]
    ack_wait: Duration,
    retry: RetryPolicy,
    from: Begin,
    /// The members (sidecars) that have consumers of it now.
    members: Vec<String>,
    /// Events that it has not passed; absent where the backend doesn't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    unsettled: u64,
    /// When the oldest unsettled event was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
}

pub(crate) async fn list(State(app): Shared, Params(paging): Params<Paging>) -> Result<Json<Page<GroupView>>, Problem> {
    let groups = app.options.member.groups().await?;
    let views = groups.into_iter().map(GroupView::from).collect();
    Ok(Json(paging.of(views, |group: &GroupView| group.group.to_string())?))
}

impl From<GroupInfo> for GroupView {
    fn from(info: GroupInfo) -> Self {
        Self {
            group: info.group,
            topics: info.topics,
            filter: info.filter,
            order: info.order,
            ack_wait: info.ack_wait,
            retry: info.retry,
            from: info.from,
            members: info.members.iter().map(ToString::to_string).collect(),
            lag: info.lag,
            unsettled: info.unsettled,
            oldest: info.oldest,
        }
    }
}
