//! The cursors' cells.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use handbell_backend::{Backend, BackendError, CellName, CellVersion, Class, Partition, Position, Start};
use handbell_groups::{Cursor, Input};
use handbell_protocol::{Lane, Segment, Timestamp};

use super::{perform::until_it_works, runner::Runner};
use crate::starts::Starts;

/// The cell of a partition's cursor.
pub(super) fn name(group: &Segment, partition: Partition) -> CellName {
    CellName::of(&["group", group.as_str(), &format!("cursor-{partition}")])
}

/// Answers the loads that have been asked for, several with one look at the ends.
pub(super) async fn load(runner: Arc<Runner>) {
    loop {
        let loads = {
            let mut state = runner.state();
            state.loading = !state.loads.is_empty();
            std::mem::take(&mut state.loads)
        };
        if loads.is_empty() {
            return;
        }
        let cursors = join_all(loads.iter().map(|(_, partition)| cursor(&runner, *partition))).await;
        // After the cells: see `Input::Loaded`.
        let ends = until_it_works("read the logs' ends", || ends(&*runner.around.backend)).await;
        runner.tell_all(loads.into_iter().zip(cursors).map(|((request, partition), cursor)| Input::Loaded {
            request,
            cursor,
            ends: ends.iter().filter(|end| end.partition == partition).cloned().collect(),
        }));
    }
}

async fn cursor(runner: &Runner, partition: Partition) -> Option<(Bytes, CellVersion)> {
    let name = name(&runner.group, partition);
    let cell = until_it_works("load a cursor", || runner.around.backend.cell_load(&name)).await;
    cell.map(|cell| (cell.value, cell.version))
}

async fn ends(backend: &dyn Backend) -> Result<Vec<Position>, BackendError> {
    let logs = [Class::Ev, Class::Retry].into_iter().flat_map(|class| Lane::ALL.map(|lane| (class, lane)));
    let ends = try_join_all(logs.map(|(class, lane)| backend.ends(class, lane))).await?;
    Ok(ends.into_iter().flatten().map(|(_, end)| end).collect())
}

/// A group's cursors as they are stored now; one that can't be read counts as none.
pub(crate) async fn cursors(group: &Segment, backend: &dyn Backend) -> Result<Marks, BackendError> {
    let partitions: Vec<Partition> = backend.capabilities().partitions.iter().collect();
    let names: Vec<CellName> = partitions.iter().map(|partition| name(group, *partition)).collect();
    let cells = try_join_all(names.iter().map(|name| backend.cell_load(name))).await?;
    let read = |(partition, cell): (Partition, Option<handbell_backend::CellValue>)| {
        Some((partition, Cursor::decode(&cell?.value, partition).ok()?))
    };
    Ok(Marks(partitions.into_iter().zip(cells).filter_map(read).collect()))
}

/// A group's cursors.
#[derive(Debug)]
pub(crate) struct Marks(pub(crate) BTreeMap<Partition, Cursor>);

impl Marks {
    /// Behind what may have been handed out of a lane of a partition.
    pub(crate) fn start(&self, lane: Lane, partition: Partition, starts: &Starts) -> Start {
        let marks = self.0.get(&partition).map(|cursor| &cursor.marks);
        let mut marks = marks.into_iter().flatten().map(|mark| &mark.position);
        let mark = marks.find(|position| position.class == Class::Ev && position.lane == lane);
        mark.map_or_else(|| starts.of(lane, partition), |position| Start::After(position.clone()))
    }

    /// Whether the next holder of a partition hands something out again at once.
    pub(crate) fn waits(&self, partition: Partition) -> bool {
        self.0.get(&partition).is_some_and(Cursor::waits)
    }

    /// How many deliveries were unsettled when the cursors were stored.
    pub(crate) fn unsettled(&self) -> u64 {
        self.0.values().map(|cursor| cursor.unsettled() as u64).sum()
    }

    /// When the oldest of their events was stored.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.0.values().filter_map(Cursor::oldest).min()
    }
}
