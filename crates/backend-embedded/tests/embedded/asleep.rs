//! Futures that were polled once and then never again, and are not dropped:
//! others must go on all the same.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use handbell_backend::{Backend, BackendError, Queue, QueueDelivery};
use handbell_backend_embedded::{EmbeddedLog, Options};
use handbell_protocol::Namespace;

use crate::{
    common::{memory, out, publish, soon, stored},
    queue,
};

type Pull<'a> = Pin<Box<dyn Future<Output = Result<Vec<QueueDelivery>, BackendError>> + Send + 'a>>;

/// Begins a pull and puts it to sleep.
fn asleep(queue: &dyn Queue) -> Pull<'_> {
    let mut pull = queue.pull(1);
    assert!(poll_once(pull.as_mut()).is_pending());
    pull
}

fn poll_once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_pull_asleep_while_it_reads_ahead_holds_no_other_up() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(Options { recent_records: 0, ..Options::dir(dir.path()) }).unwrap();
    let backend = log.backend(Namespace::default());
    publish(&*backend, (0..20).map(|n| out(&n.to_string(), "t", 0)).collect()).await;
    let consumers = [
        backend.queue(queue::spec("q", &["t"])).await.unwrap(),
        backend.queue(queue::spec("q", &["t"])).await.unwrap(),
    ];
    let _asleep = asleep(&*consumers[0]);
    assert_eq!(soon(consumers[1].pull(9)).await.unwrap().len(), 9);
    // Also who opens the queue needs what the sleeper was at.
    let third = soon(backend.queue(queue::spec("q", &["t", "u"]))).await.unwrap();
    assert!(!soon(third.pull(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_wake_up_is_not_lost_to_a_pull_asleep() {
    let (_log, backend) = memory();
    let consumers = [
        backend.queue(queue::spec("q", &["t"])).await.unwrap(),
        backend.queue(queue::spec("q", &["t"])).await.unwrap(),
    ];
    let _asleep = asleep(&*consumers[0]);
    let awake = consumers[1].pull(1);
    let (lent, _) = soon(async { tokio::join!(awake, stored(&*backend, out("1", "t", 0))) }).await;
    assert_eq!(lent.unwrap().len(), 1);
}

#[tokio::test]
async fn readings_asleep_keep_no_place_among_the_readers() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(Options::dir(dir.path())).unwrap();
    let backend = log.backend(Namespace::default());
    let prefix = handbell_backend::CellName::of(&["x"]);
    let mut sleepers: Vec<_> = (0..64).map(|_| backend.cells(&prefix)).collect();
    for sleeper in &mut sleepers {
        // Some are answered at once; most have only begun.
        let _asleep = poll_once(sleeper.as_mut());
    }
    assert!(soon(backend.cells(&prefix)).await.unwrap().is_empty());
}
