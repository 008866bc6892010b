//! Watches for one consumer until what was there when it joined has been
//! handed out, by this member or by others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use handbell_backend::{BackendError, Class, Partition, Position, Start, TailSpec};
use handbell_groups::ConsumerId;
use handbell_protocol::Lane;
use tokio::time::sleep;

use super::{cells, perform::until_it_works, runner::Runner};
use crate::ConsumerEvent;

/// How often the watcher looks: other members' progress has no wake-up.
const LOOK: Duration = Duration::from_millis(50);
const LOOK_AT_MOST: Duration = Duration::from_millis(800);

/// Tells the consumer once, unless it leaves before.
pub(super) async fn watch(runner: Arc<Runner>, consumer: ConsumerId) {
    let mut targets = until_it_works("read the logs' ends", || targets(&runner)).await;
    let mut pause = LOOK;
    loop {
        targets.retain(|end| !is_passed_here(&runner, end));
        if !targets.is_empty() {
            targets = until_it_works("look how far a group has got", || waiting(&runner, &targets)).await;
        }
        if targets.is_empty() || runner.has_left(consumer) {
            return runner.level(consumer);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOK_AT_MOST);
    }
}

/// The ends of the partitions that have anything.
async fn targets(runner: &Runner) -> Result<Vec<Position>, BackendError> {
    let mut targets = Vec::new();
    for lane in Lane::ALL {
        let ends = runner.around.backend.ends(Class::Ev, lane).await?;
        targets.extend(ends.into_iter().map(|(_, end)| end).filter(|end| end.offset > 0));
    }
    Ok(targets)
}

fn is_passed_here(runner: &Runner, end: &Position) -> bool {
    let handed_out = runner.state().machine.handed_out(end.partition, end.lane);
    handed_out.is_some_and(|position| position.comparable(end) && position.offset >= end.offset)
}

/// Those behind whose mark something of the group's topics still lies.
async fn waiting(runner: &Runner, targets: &[Position]) -> Result<Vec<Position>, BackendError> {
    let backend = &runner.around.backend;
    let marks = cells::cursors(&runner.group, &**backend).await?;
    let mut waiting = Vec::new();
    for end in targets {
        let handed_out = runner.state().machine.handed_out(end.partition, end.lane);
        let stored = || marks.start(end.lane, end.partition, &runner.stored.starts);
        let start = handed_out.clone().map_or_else(stored, Start::After);
        let partitions = BTreeMap::from([(end.partition, start)]);
        let topics = runner.stored.topics.clone();
        let comes_again = handed_out.is_none() && runner.is_owner(end.partition) && marks.waits(end.partition);
        if comes_again || backend.lag(&TailSpec { class: Class::Ev, lane: end.lane, topics, partitions }).await? > 0 {
            waiting.push(end.clone());
        }
    }
    Ok(waiting)
}

impl Runner {
    /// Watches for a consumer that wants to know.
    pub(crate) fn watch_level(self: &Arc<Self>, consumer: ConsumerId) {
        self.spawn(watch(Arc::clone(self), consumer));
    }

    /// Whether a partition is this member's, held already or not.
    fn is_owner(&self, partition: Partition) -> bool {
        let members = &self.around.members;
        members.view().owner(&self.group, partition) == Some(members.id())
    }

    fn has_left(&self, consumer: ConsumerId) -> bool {
        self.state().consumers.get(&consumer).is_none_or(|seat| seat.left)
    }

    fn level(&self, consumer: ConsumerId) {
        let mut state = self.state();
        state.post(consumer, ConsumerEvent::Level);
        state.outbox.flush();
    }
}
