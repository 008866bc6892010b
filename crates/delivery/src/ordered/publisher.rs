//! The group's publishes, retry channel and dead letters, in the order in
//! which they were asked for; lives while there are any.

use std::sync::Arc;

use handbell_backend::{Outgoing, PublishError, Stored};
use handbell_groups::{Input, Request};

use super::runner::Runner;

/// The most records of a batch.
const BATCH: usize = 256;

/// Hands over batch after batch, each when the one before has its place; the
/// receipts are waited for meanwhile. Failures are the machine's to repeat.
pub(super) async fn run(runner: Arc<Runner>) {
    loop {
        let batch = take(&runner);
        if batch.is_empty() {
            return;
        }
        let (requests, records): (Vec<Request>, Vec<Outgoing>) = batch.into_iter().unzip();
        match runner.around.backend.publish(records).await {
            Ok(receipts) => {
                let told = Arc::clone(&runner);
                runner.spawn(async move { answer(&told, requests, receipts.await) });
            }
            Err(error) => {
                let results = vec![Err(error); requests.len()];
                answer(&runner, requests, results);
            }
        }
    }
}

fn take(runner: &Runner) -> Vec<(Request, Outgoing)> {
    let mut state = runner.state();
    let count = state.publishes.len().min(BATCH);
    state.publishing = count > 0;
    state.publishes.drain(..count).collect()
}

fn answer(runner: &Arc<Runner>, requests: Vec<Request>, results: Vec<Result<Stored, PublishError>>) {
    let answers = requests.into_iter().zip(results);
    runner.tell_all(answers.map(|(request, result)| Input::Published { request, result }));
}
