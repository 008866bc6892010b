//! The task that stores cursors: all that are wanted at a time are under way
//! together, and those that the backend answers together are told together.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, ReadyChunks},
};
use handbell_backend::{CellVersion, Fault, Partition, StoreOutcome};
use handbell_groups::{Input, Request, StoreResult};

use super::{cells, runner::Runner};
use crate::backoff::Backoff;

/// How many answers are told at once.
const TOGETHER: usize = 256;

/// A cursor to be stored.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) request: Request,
    pub(super) partition: Partition,
    pub(super) value: Bytes,
    pub(super) expected: Option<CellVersion>,
}

type UnderWay = ReadyChunks<FuturesUnordered<BoxFuture<'static, Input>>>;

/// Stores what is wanted, until nothing is.
pub(super) async fn run(runner: Arc<Runner>) {
    let mut under_way: UnderWay = FuturesUnordered::new().ready_chunks(TOGETHER);
    loop {
        if !begin(&runner, &mut under_way) {
            return;
        }
        tokio::select! {
            Some(stored) = under_way.next() => runner.tell_all(stored),
            () = runner.store.notified() => {}
        }
    }
}

/// Begins what is wanted; `false`: nothing is, and nothing is under way.
fn begin(runner: &Arc<Runner>, under_way: &mut UnderWay) -> bool {
    let mut state = runner.state();
    for store in state.stores.drain(..) {
        under_way.get_mut().push(Box::pin(one(Arc::clone(runner), store)));
    }
    state.storing = !under_way.get_ref().is_empty();
    state.storing
}

async fn one(runner: Arc<Runner>, store: Store) -> Input {
    let Store { request, partition, value, expected } = store;
    let name = cells::name(&runner.group, partition);
    let mut backoff = Backoff::new("store a cursor");
    let result = loop {
        match runner.around.backend.cell_store(&name, value.clone(), expected).await {
            Ok(StoreOutcome::Stored(version)) => break StoreResult::Stored(version),
            Ok(StoreOutcome::Fenced) => break StoreResult::Fenced,
            // Nothing happened: the same again.
            Err(error) if error.fault == Fault::Unavailable => backoff.wait(&error).await,
            Err(error) => {
                backoff.wait(&error).await;
                break StoreResult::InDoubt;
            }
        }
    };
    Input::Stored { request, result }
}
