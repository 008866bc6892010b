//! Groups as operators see them, put together from what is stored.

use handbell_backend::{BackendError, Class, TailSpec};
use handbell_protocol::{Lane, Segment, Timestamp, frame::Order};

use super::inner::Inner;
use crate::{GroupInfo, MemberId, ordered, queue_group, settings, settings::Stored};

/// How far a group has got.
struct Progress {
    lag: Option<u64>,
    unsettled: u64,
    oldest: Option<Timestamp>,
}

pub(super) async fn groups(inner: &Inner) -> Result<Vec<GroupInfo>, BackendError> {
    let mut groups = Vec::new();
    for (group, stored) in settings::all(&*inner.backend).await? {
        let progress = match stored.order {
            Order::Key => of_cursors(inner, &group, &stored).await?,
            Order::None => of_queue(inner, &group),
        };
        groups.push(info(members(inner, &group), group, stored, progress));
    }
    Ok(groups)
}

fn members(inner: &Inner, group: &Segment) -> Vec<MemberId> {
    let view = inner.members.view();
    view.members().filter(|(_, member)| member.groups.contains(group)).map(|(id, _)| id.clone()).collect()
}

fn info(members: Vec<MemberId>, group: Segment, stored: Stored, progress: Progress) -> GroupInfo {
    let Stored { topics, filter, order, ack_wait, retry, from, starts: _ } = stored;
    let Progress { lag, unsettled, oldest } = progress;
    GroupInfo { group, topics, filter, order, ack_wait, retry, from, members, lag, unsettled, oldest }
}

async fn of_cursors(inner: &Inner, group: &Segment, stored: &Stored) -> Result<Progress, BackendError> {
    let marks = ordered::cursors(group, &*inner.backend).await?;
    let mut lag = 0;
    for lane in Lane::ALL {
        let all = inner.backend.capabilities().partitions.iter();
        let partitions = all.map(|partition| (partition, marks.start(lane, partition, &stored.starts))).collect();
        let spec = TailSpec { class: Class::Ev, lane, topics: stored.topics.clone(), partitions };
        lag += inner.backend.lag(&spec).await?;
    }
    Ok(Progress { lag: Some(lag), unsettled: marks.unsettled(), oldest: marks.oldest() })
}

fn of_queue(inner: &Inner, group: &Segment) -> Progress {
    let records = inner.lending.unsettled(&queue_group::name(group));
    let oldest = records.iter().map(|record| record.position.time).min();
    Progress { lag: None, unsettled: records.len() as u64, oldest }
}
