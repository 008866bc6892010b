//! What networks do, each fault by itself while events are published, read and
//! worked on.

use std::{sync::Arc, time::Duration};

use handbell_backend::{Backend, CellName, CellVersion, PublishError, StoreOutcome};
use handbell_backend_nats::open;
use handbell_test_support::{Fault, NatsServer, Proxy, Way};
use tokio::time::{Instant, sleep, timeout};

use crate::common::{PATIENCE, assert_each_once, connect, event, options, publish_all, read};

const EVENTS: u64 = 3_000;

/// Publishes and reads through a proxy while `harm` is done to it; everything
/// that was acknowledged must be there, each once, and the tail that was open
/// all the time must have seen it.
async fn under<F: Future<Output = ()>>(harm: impl FnOnce(Arc<Proxy>) -> F) {
    let server = NatsServer::start().unwrap();
    let proxy = Arc::new(Proxy::start(&server.url()).await.unwrap());
    let mut options = options(&proxy.url());
    options.timeout = Duration::from_secs(2);
    let backend = Arc::new(open(options).await.unwrap());
    let (writer, reader) = (Arc::clone(&backend), Arc::clone(&backend));
    let reading = tokio::spawn(async move { read(&*reader, EVENTS as usize).await });
    let publishing = tokio::spawn(async move {
        for from in (0..EVENTS).step_by(100) {
            publish_all(&*writer, from..from + 100).await;
            // Long enough that the harm falls into the midst of it.
            sleep(Duration::from_millis(20)).await;
        }
    });
    sleep(Duration::from_millis(100)).await;
    harm(Arc::clone(&proxy)).await;
    proxy.set(Way::There, Fault::None);
    proxy.set(Way::Back, Fault::None);
    timeout(PATIENCE, publishing).await.expect("publishing ends").unwrap();
    assert_each_once(&timeout(PATIENCE, reading).await.expect("reading ends").unwrap(), EVENTS);
    // Past the proxy, too.
    assert_each_once(&read(&connect(&server.url()).await, EVENTS as usize).await, EVENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_again_and_again_lose_nothing() {
    under(|proxy| async move {
        for _ in 0..6 {
            sleep(Duration::from_millis(150)).await;
            proxy.cut();
        }
        assert!(proxy.connections() > 3, "it connected again by itself");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_make_no_second_record() {
    under(|proxy| async move {
        for _ in 0..2 {
            proxy.set(Way::Back, Fault::Loss);
            sleep(Duration::from_millis(400)).await;
            proxy.cut();
            proxy.set(Way::Back, Fault::None);
            sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_are_lost_are_asked_again() {
    under(|proxy| async move {
        proxy.set(Way::There, Fault::Loss);
        sleep(Duration::from_millis(500)).await;
        proxy.cut();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_longer_than_the_patience_is_told_as_in_doubt_and_ends_well() {
    under(|proxy| async move {
        for way in [Way::Back, Way::There] {
            proxy.set(way, Fault::Silence);
            sleep(Duration::from_secs(3)).await;
            proxy.set(way, Fault::None);
            sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_road_and_a_slow_drip_only_take_longer() {
    under(|proxy| async move {
        proxy.set(Way::There, Fault::Delay(Duration::from_millis(30)));
        proxy.set(Way::Back, Fault::Delay(Duration::from_millis(30)));
        sleep(Duration::from_millis(700)).await;
        proxy.set(Way::There, Fault::Drip(2_048));
        proxy.set(Way::Back, Fault::Drip(2_048));
        sleep(Duration::from_millis(700)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_false_acknowledgement_and_a_bounded_wait_while_nothing_comes_back() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::start(&server.url()).await.unwrap();
    let mut options = options(&proxy.url());
    options.timeout = Duration::from_secs(1);
    let backend = open(options).await.unwrap();
    proxy.set(Way::Back, Fault::Silence);
    let receipts = timeout(PATIENCE, backend.publish((0..500).map(event).collect())).await.unwrap().unwrap().await;
    let doubtful = |receipt: &Result<_, PublishError>| receipt.as_ref().is_err_and(PublishError::is_in_doubt);
    assert!(receipts.iter().all(doubtful), "nothing was answered: {:?}", receipts.first());
    // Beyond the window a publish waits: it holds no more and more.
    let flood = backend.publish((500..40_000).map(event).collect());
    assert!(timeout(Duration::from_millis(500), flood).await.is_err(), "forty thousand were taken without an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cells_store_whose_answer_is_lost_is_in_doubt_and_can_be_seen_afterwards() {
    let server = NatsServer::start().unwrap();
    let proxy = Proxy::start(&server.url()).await.unwrap();
    let mut options = options(&proxy.url());
    options.timeout = Duration::from_secs(1);
    let backend = open(options).await.unwrap();
    let name = CellName::of(&["c"]);
    let StoreOutcome::Stored(first) = backend.cell_store(&name, "one".into(), None).await.unwrap() else {
        panic!("the first store is nobody else's");
    };
    proxy.set(Way::Back, Fault::Loss);
    let lost = backend.cell_store(&name, "two".into(), Some(first)).await.unwrap_err();
    assert_eq!(lost.fault, handbell_backend::Fault::InDoubt, "{lost}");
    proxy.cut();
    proxy.set(Way::Back, Fault::None);
    let until = Instant::now() + PATIENCE;
    let seen = loop {
        match backend.cell_load(&name).await {
            Ok(value) => break value.unwrap(),
            Err(error) => assert!(error.is_retryable() && Instant::now() < until, "{error}"),
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&seen.value[..], seen.version > CellVersion(first.0)), (&b"two"[..], true));
    let stale = backend.cell_store(&name, "three".into(), Some(first)).await.unwrap();
    assert_eq!(stale, StoreOutcome::Fenced);
}
